"""`neardup bench index`: recall, speed, size and growth of the index, beside the best libraries.

Everything is measured on crowds drawn from a mixture fitted to real embeddings, with planted
near-duplicates that differ as real pairs do. ``--quick`` takes crowds a tenth as large.
"""

from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from neardup.benchmarks.crowd import (
    bit_statistics,
    easy_patterns,
    link_patterns,
    random_distances,
)
from neardup.benchmarks.figures import Figure, compared
from neardup.benchmarks.index_backfill import backfill
from neardup.benchmarks.index_data import Crowds, real_embeddings
from neardup.benchmarks.index_peers import peer
from neardup.benchmarks.index_plan import built, planned, prices
from neardup.benchmarks.index_size import adding, decoding, growth, on_disk
from neardup.benchmarks.index_skew import copies
from neardup.benchmarks.index_speed import (
    EASY_PATTERNS,
    EASY_SETTINGS,
    REAL_SETTINGS,
    Bench,
    Settings,
    beside_flat,
    beside_multihash,
    contest,
    on_real_pairs,
    scan,
)
from neardup.models.classifier import Classifier
from neardup.models.hasher import Hasher

PERCENTILES = (0.1, 1.0, 50.0, 99.0)
_RANDOM_PAIRS = 300_000


def run(quick: bool, seed: int) -> list[Figure]:
    """The figures. Raises EnvironmentProblem if a peer or the data is missing."""
    for name in ("faiss", "pyfastpfor"):
        peer(name)  # a sentence now instead of one after minutes
    hasher = Hasher.load()
    crowds = Crowds(hasher, seed)
    return list(tqdm(_measured(hasher, crowds, quick, seed), desc="figures", unit=""))


def _measured(hasher: Hasher, crowds: Crowds, quick: bool, seed: int) -> Iterator[Figure]:
    size = 100_000 if quick else 1_000_000
    yield from agreement(hasher, crowds, size, seed)
    bench = _bench(hasher, crowds, size, quick, seed)
    yield scan(bench)
    yield from _on_easy_copies(bench)
    yield from _on_real_distances(bench, crowds)
    sizes, limit = ((2_000, 5_000), 20.0) if quick else ((10_000, 100_000), 300.0)
    yield backfill(hasher, crowds, bench.radius, seed, sizes, limit)


def _bench(hasher: Hasher, crowds: Crowds, size: int, quick: bool, seed: int) -> Bench:
    vectors, groups = crowds.labelled()
    labelled = hasher.sign(vectors)
    radius = Classifier.load().radius
    return Bench(
        crowd=np.concatenate([crowds.signatures(size)[: size - len(labelled)], labelled]),
        labelled=labelled,
        groups=groups,
        links=link_patterns(labelled, groups, radius),
        radius=radius,
        costs=prices(),
        rng=np.random.default_rng([seed, size]),
        quick=quick,
    )


def agreement(hasher: Hasher, crowds: Crowds, size: int, seed: int) -> list[Figure]:
    """How nearly a crowd's bits behave as those of the pictures it was fitted to."""
    rng = np.random.default_rng(seed)
    real = hasher.sign(real_embeddings())
    drawn = np.asarray(crowds.signatures(size)[: len(real)])
    apart = [
        np.percentile(random_distances(rows, _RANDOM_PAIRS, rng), PERCENTILES)
        for rows in (drawn, real)
    ]
    figures = [
        compared(
            f"crowd: differing bits of random pairs, percentile {percentile:g}",
            "bits",
            [float(ours)],
            "real pictures",
            [float(theirs)],
        )
        for percentile, ours, theirs in zip(PERCENTILES, *apart, strict=True)
    ]
    (own, correlations), (other, real_correlations) = bit_statistics(drawn), bit_statistics(real)
    alike = float(np.corrcoef(correlations, real_correlations)[0, 1])
    figures.append(
        compared(
            "crowd: mean imbalance of a bit",
            "of |2 P(1) - 1|",
            [float(own.mean())],
            "real pictures",
            [float(other.mean())],
            quality=f"the two agree over the bits with r = {np.corrcoef(own, other)[0, 1]:.3f}, "
            f"the correlations of pairs of bits with r = {alike:.3f}",
        )
    )
    return figures


def _on_easy_copies(bench: Bench) -> Iterator[Figure]:
    patterns = easy_patterns(EASY_PATTERNS, bench.rng)
    rivals = contest(bench, patterns, _some(bench, EASY_SETTINGS), tries=900)
    yield beside_multihash(bench, rivals, "easy copies (0 to 12 % flips)", queries=2000)


def _on_real_distances(bench: Bench, crowds: Crowds) -> Iterator[Figure]:
    rivals = contest(bench, bench.links, _some(bench, REAL_SETTINGS), tries=90)
    yield on_real_pairs(bench, rivals.segment)
    yield beside_multihash(bench, rivals, "real distances", queries=200 if bench.quick else 400)
    segment = rivals.segment
    del rivals  # gigabytes
    yield beside_flat(bench, segment, queries=100)
    blocks = built(bench.crowd, segment.plan)
    yield from on_disk(blocks, segment)
    del blocks
    yield decoding(bench.crowd, segment)
    yield adding(bench, segment.plan)
    yield copies(bench, segment, 5_000 if bench.quick else 50_000)
    large = crowds.signatures(10 * len(bench.crowd))
    plan = planned(bench.crowd, bench.links, bench.radius, bench.costs, len(large))
    yield from growth(bench, segment, large, plan)


def _some(bench: Bench, settings: Settings) -> Settings:
    """Building FAISS's indexes takes most of the time: a quick run tries the first two."""
    return settings[:2] if bench.quick else settings
