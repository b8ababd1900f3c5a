"""Union-find against scipy, in one part and in many."""

import numpy as np
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
)
def test_forests_of_parts_are_exact(seed: int, n: int, edges: int, parts: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, n, (2, edges))
    forests = [forest(left[p::parts], right[p::parts]) for p in range(parts)]
    merged = forest(*(np.concatenate(side) for side in zip(*forests, strict=True)))
    found = components(n, *merged)

    graph = coo_array((np.ones(edges), (left, right)), shape=(n, n))
    count, labels = connected_components(graph, directed=False)
    assert len(merged[0]) == n - count
    for label in range(count):
        members = np.flatnonzero(labels == label)
        assert (found[members] == members.min()).all()


def test_no_edges() -> None:
    nothing = np.empty(0, np.int64)
    assert components(3, nothing, nothing).tolist() == [0, 1, 2]
    assert [len(side) for side in forest(nothing, nothing)] == [0, 0]
