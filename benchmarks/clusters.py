"""`neardup bench clusters`: components, the k-cut and the fold, beside libraries and the optimum.

The stream against a batch run, and the chains of real pictures, need the data of ``index_data``.
Times of compaction and pages are the clock's; others the processor's (of this thread) unless a row
says else.
"""

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from neardup.benchmarks import (
    clusters_chain,
    clusters_compact,
    clusters_cut,
    clusters_fold,
    clusters_morph,
    clusters_pages,
    clusters_stream,
)
from neardup.benchmarks.figures import Figure, compared
from neardup.benchmarks.index_peers import alternate
from neardup.clusters.components import components

Int64 = npt.NDArray[np.int64]


def run(quick: bool, seed: int) -> list[Figure]:
    """The figures; ``quick`` takes a tenth of the pins and fewer repeats."""
    return [
        *component_rows(quick, seed),
        *clusters_stream.rows(quick, seed),
        *clusters_cut.rows(quick, seed),
        *clusters_chain.rows(quick, seed),
        *clusters_morph.rows(quick, seed),
        *clusters_fold.rows(quick, seed),
        *clusters_pages.rows(quick),
        *clusters_compact.rows(quick, seed),
    ]


def component_rows(quick: bool, seed: int) -> list[Figure]:
    """Union-find beside scipy, on one giant component and on many small ones."""
    rng = np.random.default_rng(seed)
    n = 200_000 if quick else 2_000_000
    graphs = {
        "random edges, degree 10": rng.integers(0, n, (2, 5 * n)),
        "links in clusters of 6": links_of_clusters(rng, n, 6),
    }
    return [component_row(name, n, *edges) for name, edges in graphs.items()]


def links_of_clusters(rng: np.random.Generator, n: int, size: int) -> Int64:
    """Three links a pin, each to some pin of its cluster, int64 [2, 3 n]; ordinals are shuffled."""
    left = np.repeat(np.arange(n), 3)
    right = (left // size * size + rng.integers(0, size, len(left))).clip(max=n - 1)
    shuffled = rng.permutation(n)
    return np.stack([shuffled[left], shuffled[right]])


def component_row(name: str, n: int, left: Int64, right: Int64) -> Figure:
    """Edges a second from edge arrays to labels."""
    weights = np.ones(len(left), np.int8)
    csr = coo_array((weights, (left, right)), shape=(n, n)).tocsr()

    def by_scipy(_: int) -> Int64:
        graph = coo_array((weights, (left, right)), shape=(n, n))
        labels: Int64 = connected_components(graph, directed=False)[1]
        return labels

    components(n, left, right)
    ours, theirs, prepared = alternate(
        5,
        lambda _: components(n, left, right),
        by_scipy,
        lambda _: connected_components(csr, directed=False),
    )
    found, labels = components(n, left, right), by_scipy(0)
    least = np.full(labels.max() + 1, n)
    np.minimum.at(least, labels, np.arange(n))
    rates = [len(left) / seconds / 1e6 for seconds in ours]
    row = compared(
        f"components of {n:,} pins, {len(left):,} edges: {name}",
        "M edges/s",
        rates,
        "scipy connected_components (from edge arrays: its own conversion to CSR counts)",
        [len(left) / seconds / 1e6 for seconds in theirs],
        target="ratio >= 5",
        quality=f"{len(least):,} components, labels equal: {np.array_equal(found, least[labels])}; "
        f"to scipy on a ready CSR: {float(np.median(prepared) / np.median(ours)):.1f}",
    )
    row.met = row.ratio is not None and row.ratio >= 5
    return row
