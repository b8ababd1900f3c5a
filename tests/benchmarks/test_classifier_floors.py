"""Recall at precision .99 over groups, against loops."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.benchmarks.classifier_floors import PRECISION, Judgement, cosines


def by_loops(groups: np.ndarray, values: np.ndarray) -> float:
    left, right = np.triu_indices(len(groups), 1)
    same = groups[left] == groups[right]
    best = 0.0
    for threshold in set(values.tolist()) - {-np.inf}:
        reported = values >= threshold
        if same[reported].mean() >= PRECISION:
            best = max(best, same[reported].sum() / max(1, same.sum()))
    return best


@settings(deadline=None, max_examples=60)
@given(
    groups=st.lists(st.integers(0, 3), min_size=4, max_size=12),
    seed=st.integers(0, 2**32 - 1),
    levels=st.integers(1, 6),
)
def test_recall_is_that_of_loops(groups: list[int], seed: int, levels: int) -> None:
    """Few levels: many pairs are equal, and those fall together."""
    labels = np.array(groups)
    judgement = Judgement(labels, draws=3, seed=1)
    values = np.random.default_rng(seed).integers(0, levels, len(judgement.left)).astype(np.float64)
    values[judgement.same] += 1
    values[values == 0] = -np.inf
    found = judgement.recall(values)
    assert found.value == by_loops(labels, values)
    assert ((found.draws >= 0) & (found.draws <= 1)).all()


def test_a_group_that_is_drawn_twice_weighs_twice() -> None:
    """Two groups of two; only the pair of the first is found. Draws: that group's share."""
    judgement = Judgement(np.array([5, 5, 9, 9]), draws=200, seed=1)
    values = np.where(judgement.same & (judgement.left == 0), 1.0, -np.inf)
    found = judgement.recall(values)
    assert found.value == 0.5
    assert set(found.draws.tolist()) == {0.0, 0.5, 1.0}
    assert 0.4 < found.draws.mean() < 0.6
    low, high = found.interval
    assert (low, high) == (0.0, 1.0)


def test_cosines_are_of_the_pairs() -> None:
    vectors = np.random.default_rng(1).normal(size=(5, 3))
    judgement = Judgement(np.arange(5), draws=0, seed=1)
    for value, a, b in zip(
        cosines(vectors, judgement), judgement.left, judgement.right, strict=True
    ):
        one, other = vectors[a], vectors[b]
        expected = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        np.testing.assert_allclose(value, expected, rtol=1e-5)
