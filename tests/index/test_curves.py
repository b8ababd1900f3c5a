import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.index.arithmetic import recall
from neardup.index.curves import (
    OVERLAPS,
    TERM_BITS,
    Pairs,
    Shares,
    at_least_ideal,
    longest,
    mean_and_error,
    shares,
)
from neardup.index.terms import TermPlan, matches
from tests.index.planning import crowd, flipped

BANDS = 40


def counted(signatures, pairs, bands=BANDS, seed=2018):
    words = np.ascontiguousarray(longest(bands, seed).words(signatures).T)
    return shares(words, words, pairs)


def pairs_of(rng, n, count, weights=None):
    left, right = rng.integers(0, n, (2, count)).astype(np.int32)
    return Pairs(left, right, np.ones(count) if weights is None else weights)


@settings(deadline=None, max_examples=60)
@given(
    k=st.sampled_from(TERM_BITS),
    flips=st.integers(0, 1),
    tail=st.integers(0, 32),
    overlap=st.sampled_from(OVERLAPS),
    bands=st.integers(2, 70),
    seed=st.integers(0, 3),
)
def test_one_pass_counts_what_brute_force_finds_for_every_plan(
    k, flips, tail, overlap, bands, seed
):
    rng = np.random.default_rng(seed)
    near = crowd(60, seed) ^ flipped(60, seed)
    signatures = np.concatenate([crowd(60, seed), near])
    pairs = pairs_of(rng, 120, 300)
    found = counted(signatures, pairs, bands, seed)
    plan = TermPlan(bands, k, flips, tail, overlap, seed)
    shared = matches(plan, signatures[pairs.left], signatures[pairs.right])
    at = k - TERM_BITS[0]
    assert found.found[overlap - 1, at, flips, tail] == pytest.approx((shared >= overlap).mean())
    terms = matches(
        TermPlan(bands, k, flips, 32, overlap, seed),
        signatures[pairs.left],
        signatures[pairs.right],
    )
    assert found.matches[at, flips] == pytest.approx(terms.mean())


def test_a_weight_stands_for_so_many_pairs():
    rng = np.random.default_rng(1)
    signatures = np.concatenate([crowd(50, 1), crowd(50, 1) ^ flipped(50, 1)])
    weights = rng.integers(1, 5, 200)
    pairs = pairs_of(rng, 100, 200, weights.astype(np.float64))
    rows = np.repeat(np.arange(200), weights)
    repeated = Pairs(pairs.left[rows], pairs.right[rows], np.ones(len(rows)))
    for one, two in zip(counted(signatures, pairs), counted(signatures, repeated), strict=True):
        assert one == pytest.approx(two)


def test_no_pairs_match_nothing():
    none = Pairs(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0))
    assert all((column == 0).all() for column in counted(crowd(3, 1), none))


def test_links_of_independent_flips_follow_the_arithmetic():
    rng = np.random.default_rng(2)
    patterns = np.packbits(rng.random((8000, 1024)) < 0.2, axis=1)
    rows = np.arange(8000, dtype=np.int32)
    words = np.ascontiguousarray(longest(64, 2018).words(patterns).T)
    found = shares(words, np.zeros((1, 64), np.uint64), Pairs(rows, 0 * rows, np.ones(8000)))
    for k, flips, tail, overlap in [(12, 0, 32, 1), (16, 1, 11, 1), (18, 1, 32, 1), (14, 1, 9, 2)]:
        expected = recall(0.2, TermPlan(64, k, flips, tail, overlap))
        assert found.found[overlap - 1, k - 12, flips, tail] == pytest.approx(expected, abs=0.025)


def test_the_mean_of_groups_and_its_error():
    groups = [Shares(np.array([value]), np.array([0.0])) for value in (1.0, 2.0, 3.0, 2.0)]
    mean, error = mean_and_error(groups)
    assert mean.matches == [2.0] and error.found == [0.0]
    assert error.matches == pytest.approx(np.std([1, 2, 3, 2], ddof=1) / 2 / 2.0)


def test_rare_matches_are_not_impossible():
    nothing = Shares(np.zeros((len(TERM_BITS), 2)), np.zeros((2, len(TERM_BITS), 2, 33)))
    floor = at_least_ideal(nothing, 64)
    assert floor.matches[4].tolist() == pytest.approx([64 / 2**16, 64 * 17 / 2**16])
    expected = recall(0.5, TermPlan(64, 16, 1, 11))
    assert floor.found[0, 4, 1, 11] == pytest.approx(expected, rel=1e-6)
    everything = Shares(nothing.matches + 64, nothing.found + 1)
    assert (at_least_ideal(everything, 64).found == 1).all()
