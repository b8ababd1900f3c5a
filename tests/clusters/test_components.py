"""Union-find against scipy, in one part and in many."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from neardup.clusters.components import components, forest


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 200),
    edges=st.integers(0, 300),
    parts=st.integers(1, 6),
    spread=st.sampled_from([1, 10**12]),
)
def test_forests_of_parts_are_exact(seed: int, n: int, edges: int, parts: int, spread: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, n, (2, edges))
    left, right = left * spread, right * spread  # ids far apart are numbered anew
    forests = [forest(left[p::parts], right[p::parts]) for p in range(parts)]
    merged = forest(*(np.concatenate(side) for side in zip(*forests, strict=True)))
    found = components(n, *(side // spread for side in merged))

    graph = coo_array((np.ones(edges), (left // spread, right // spread)), shape=(n, n))
    count, labels = connected_components(graph, directed=False)
    assert len(merged[0]) == n - count
    for label in range(count):
        members = np.flatnonzero(labels == label)
        assert (found[members] == members.min()).all()


@pytest.mark.parametrize("degree", [0.5, 1, 2, 20])
def test_components_of_large_random_graphs(degree: float) -> None:
    """Below, at and above the degree at which one component comes to hold most nodes."""
    seed = int(np.random.default_rng().integers(2**32))
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    n = 50_000
    left, right = rng.integers(0, n, (2, int(n * degree / 2)))
    graph = coo_array((np.ones(len(left)), (left, right)), shape=(n, n))
    count, labels = connected_components(graph, directed=False)
    least = np.full(count, n)
    np.minimum.at(least, labels, np.arange(n))
    assert np.array_equal(components(n, left, right), least[labels])
    order = rng.permutation(len(left))
    assert np.array_equal(components(n, right[order], left[order]), least[labels])


def test_no_edges() -> None:
    nothing = np.empty(0, np.int64)
    assert components(3, nothing, nothing).tolist() == [0, 1, 2]
    assert [len(side) for side in forest(nothing, nothing)] == [0, 0]
