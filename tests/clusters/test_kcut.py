"""The k-cut against enumeration, and on cases whose answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.clusters.bisection import bisect
from neardup.clusters.climb import climb, divide
from neardup.clusters.contraction import contract
from neardup.clusters.kcut import cut, medoid, objective, whole_numbers
from neardup.clusters.moves import move, unsettle
from neardup.clusters.optimum import MOST, optimum


def partitions(n: int) -> list[list[int]]:
    """All partitions of n items, as restricted growth strings."""
    strings: list[list[int]] = [[0]]
    for _ in range(n - 1):
        strings = [[*s, label] for s in strings for label in range(max(s) + 2)]
    return strings


def random_weights(rng: np.random.Generator, n: int) -> np.ndarray:
    upper = np.triu(rng.normal(0, 3, (n, n)), 1)
    return upper + upper.T


def planted(rng: np.random.Generator, sizes: list[int], noise: float) -> tuple:
    """Evidence of pairs that are seen rightly but for ``noise`` of them, and the families."""
    families = np.repeat(np.arange(len(sizes)), sizes)
    wrong = np.triu(rng.random((len(families),) * 2) < noise, 1)
    same = (families[:, None] == families[None, :]) ^ wrong ^ wrong.T
    return np.where(same, 1.0, -1.0) * np.log((1 - noise) / noise), families


def lost(weights: np.ndarray, labels: np.ndarray) -> float:
    """Evidence that a partition goes against: severed if positive, kept if negative."""
    together = labels[:, None] == labels[None, :]
    return float(np.triu(np.where(together, (-weights).clip(0), weights.clip(0)), 1).sum())


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len(set(one.tolist())) == len(set(other.tolist()))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 7))
def test_a_few_pins_are_cut_as_well_as_can_be(seed: int, n: int) -> None:
    weights = random_weights(np.random.default_rng(seed), n)
    labels = cut(weights)
    best = max(objective(weights, np.array(labels)) for labels in partitions(n))
    assert objective(weights, labels) == pytest.approx(best, abs=1e-3)
    assert labels.tolist() == [int(np.flatnonzero(labels == own).min()) for own in labels]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 40))
def test_every_step_gains_or_changes_nothing(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    weights = whole_numbers(random_weights(rng, n))
    before = np.unique(rng.integers(0, 6, n), return_inverse=True)[1].astype(np.int64)
    for step in (move, unsettle, contract, divide):
        after = step(weights, before)
        assert objective(weights, after) >= objective(weights, before)
    end = climb(weights)
    for step in (move, unsettle, contract, divide):
        assert same_partition(step(weights, end), end)


@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_climbing_comes_near_the_optimum(noise: float) -> None:
    rng = np.random.default_rng(12)
    ratios = []
    for _ in range(100):
        weights, _ = planted(rng, [3, 4, 5], noise)
        whole = whole_numbers(weights)
        best, climbed = (lost(weights, labels) for labels in (optimum(whole), climb(whole)))
        assert climbed >= best - 1e-9
        ratios.append(climbed / best if best else 1.0)
    print(f"lost evidence to the optimum's: mean {np.mean(ratios):.3f}, worst {max(ratios):.3f}")
    assert np.mean(ratios) <= 1.05


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 9))
def test_without_negative_evidence_a_bisection_is_the_minimum_cut(seed: int, n: int) -> None:
    weights = np.random.default_rng(seed).integers(0, 9, (n, n))
    weights = np.triu(weights, 1) + np.triu(weights, 1).T
    side, across = bisect(weights)
    assert 0 < side.sum() < n
    assert across == weights[np.ix_(side, ~side)].sum()
    sides = [np.array([bits >> i & 1 for i in range(n)], bool) for bits in range(1, 2 ** (n - 1))]
    assert across == min(int(weights[np.ix_(s, ~s)].sum()) for s in sides)


@pytest.mark.parametrize("n", [MOST - 2, 60, 200])
def test_planted_families_are_found_exactly(n: int) -> None:
    rng = np.random.default_rng(5)
    weights, families = planted(rng, [n // 5, n // 2, n - n // 5 - n // 2], 0.02)
    shuffle = rng.permutation(n)
    labels = cut(weights[np.ix_(shuffle, shuffle)])
    assert same_partition(labels, families[shuffle])


@pytest.mark.parametrize("n", [4, 30])
def test_all_positive_is_one_part_named_by_its_least_member(n: int) -> None:
    assert cut(np.ones((n, n))).tolist() == [0] * n


@pytest.mark.parametrize("n", [4, 30])
def test_all_negative_is_singles(n: int) -> None:
    assert cut(-np.ones((n, n))).tolist() == list(range(n))


def test_two_families_and_one_false_link() -> None:
    weights = np.full((6, 6), -3.0)
    weights[:3, :3] = weights[3:, 3:] = 5.0
    weights[2, 3] = weights[3, 2] = 6.0
    assert cut(weights).tolist() == [0, 0, 0, 3, 3, 3]


@pytest.mark.parametrize("sizes", [[4, 4], [20, 20], [100, 100]])
@pytest.mark.parametrize(("pair", "said"), [((0, 1), -np.inf), ((0, -1), np.inf)])
def test_what_people_said_outweighs_everything(
    sizes: list[int], pair: tuple[int, int], said: float
) -> None:
    weights, families = planted(np.random.default_rng(3), sizes, 0.05)
    weights[pair] = weights[pair[::-1]] = said
    labels = cut(weights)
    assert (labels[pair[0]] == labels[pair[1]]) == (said > 0)
    rest = np.setdiff1d(np.arange(len(labels)), np.array(pair) % len(labels))
    assert same_partition(labels[rest], families[rest])


def test_together_wins_over_apart() -> None:
    """A chain of people's links with a bound on distances against it: the caller refuses those."""
    weights = np.zeros((3, 3))
    weights[0, 1] = weights[1, 0] = weights[1, 2] = weights[2, 1] = np.inf
    weights[0, 2] = weights[2, 0] = -np.inf
    assert cut(weights).tolist() == [0, 0, 0]


def test_empty_and_single() -> None:
    assert cut(np.empty((0, 0))).tolist() == []
    assert cut(np.zeros((1, 1))).tolist() == [0]


def test_whole_numbers_cannot_overflow() -> None:
    weights = np.full((600, 600), 1e300)
    weights[0] = weights[:, 0] = -np.inf
    whole = whole_numbers(weights)
    exact = sum(abs(value) for value in whole.ravel().tolist())
    assert exact == int(np.abs(whole).sum()) < 2**63
    assert -int(whole[0, 1]) > 599 * 598 // 2 * int(whole[1, 2])


def test_medoid_is_nearest_to_the_others() -> None:
    weights = np.array([[0.0, 1, 1, -9], [1, 0, 3, -9], [1, 3, 0, -9], [-9, -9, -9, 0]])
    assert medoid(weights, np.array([0, 1, 2])) == 1
    assert medoid(weights, np.array([3])) == 3
