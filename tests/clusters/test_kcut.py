"""The k-cut against enumeration, and on cases whose answer is known."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.clusters.kcut import cut, medoid, objective


def partitions(n: int) -> list[list[int]]:
    """All partitions of n items, as restricted growth strings."""
    strings: list[list[int]] = [[0]]
    for _ in range(n - 1):
        strings = [[*s, label] for s in strings for label in range(max(s) + 2)]
    return strings


def random_weights(rng: np.random.Generator, n: int) -> np.ndarray:
    upper = np.triu(rng.normal(0, 3, (n, n)), 1)
    return upper + upper.T


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 7))
def test_never_worse_than_no_cut_never_better_than_the_best(seed: int, n: int) -> None:
    weights = random_weights(np.random.default_rng(seed), n)
    found = objective(weights, cut(weights))
    best = max(objective(weights, np.array(labels)) for labels in partitions(n))
    assert objective(weights, np.zeros(n)) - 1e-9 <= found <= best + 1e-9


def test_planted_families_are_found_exactly() -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 4, 60)
    same = truth[:, None] == truth[None, :]
    weights = np.where(same, 4.0, -4.0) + random_weights(rng, 60) / 3
    weights = (weights + weights.T) / 2
    labels = cut(weights)
    assert (
        len(set(zip(labels.tolist(), truth.tolist(), strict=True)))
        == len(set(truth))
        == len(set(labels.tolist()))
    )


def test_all_positive_is_one_part_named_by_its_least_member() -> None:
    assert cut(np.ones((5, 5))).tolist() == [0] * 5


def test_all_negative_is_singles() -> None:
    assert cut(-np.ones((4, 4))).tolist() == [0, 1, 2, 3]


def test_two_families_and_one_false_link() -> None:
    weights = np.full((6, 6), -3.0)
    weights[:3, :3] = weights[3:, 3:] = 5.0
    weights[2, 3] = weights[3, 2] = 6.0
    assert cut(weights).tolist() == [0, 0, 0, 3, 3, 3]


def test_empty_and_single() -> None:
    assert cut(np.empty((0, 0))).tolist() == []
    assert cut(np.zeros((1, 1))).tolist() == [0]


def test_medoid_is_nearest_to_the_others() -> None:
    weights = np.array([[0.0, 1, 1, -9], [1, 0, 3, -9], [1, 3, 0, -9], [-9, -9, -9, 0]])
    assert medoid(weights, np.array([0, 1, 2])) == 1
    assert medoid(weights, np.array([3])) == 3
