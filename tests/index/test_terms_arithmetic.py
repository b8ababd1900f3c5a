"""Overlap of term sets approximates Jaccard, and so cosine: the curve against the arithmetic."""

import numpy as np
import pytest

from neardup.index.arithmetic import angle_share, match_chance
from neardup.index.terms import TermPlan, matches

COSINES = (0.995, 0.98, 0.95, 0.9, 0.8, 0.6)
PAIRS = 400
DIMENSION = 256


def signed_pairs(cosine: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sign bits uint8 [PAIRS, 128] of Gaussian vectors at this cosine; hyperplanes at random."""
    rng = np.random.default_rng(seed)
    left = rng.standard_normal((PAIRS, DIMENSION))
    other = rng.standard_normal((PAIRS, DIMENSION))
    other -= left * (np.sum(left * other, axis=1) / np.sum(left * left, axis=1))[:, None]
    other *= (np.linalg.norm(left, axis=1) / np.linalg.norm(other, axis=1))[:, None]
    right = cosine * left + np.sqrt(1 - cosine**2) * other
    planes = rng.standard_normal((DIMENSION, 1024))
    return np.packbits(left @ planes > 0, axis=1), np.packbits(right @ planes > 0, axis=1)


def jaccard(plan: TermPlan, left: np.ndarray, right: np.ndarray) -> float:
    """Of the sets of (band, term) of two signatures uint8 [128]."""
    one, two = (
        set(enumerate((plan.words(row[None])[:, 0] >> np.uint64(32)).tolist()))
        for row in (left, right)
    )
    return len(one & two) / len(one | two)


@pytest.mark.parametrize("cosine", COSINES)
def test_the_share_of_bits_that_differ_is_the_angle(cosine):
    left, right = signed_pairs(cosine, seed=1)
    differing = np.bitwise_count(left ^ right).sum(axis=1).mean() / 1024
    assert differing == pytest.approx(float(angle_share(cosine)), rel=0.03)


@pytest.mark.parametrize("cosine", COSINES)
@pytest.mark.parametrize("k", [4, 8, 12])
def test_overlap_falls_with_the_angle_to_the_power_of_k(cosine, k):
    """E[overlap] / L = (1 - theta / pi)^k, a function of the cosine alone."""
    plan = TermPlan(bands=256, term_bits=k, flips=0, tail_flips=32)
    overlap = matches(plan, *signed_pairs(cosine, seed=k)).mean() / plan.bands
    # the spread of a pair's differing bits about theta / pi bends the mean a little upwards
    expected = (1 - float(angle_share(cosine))) ** k
    assert overlap == pytest.approx(expected, rel=0.05, abs=0.002)


@pytest.mark.parametrize("flips", [0, 1])
def test_flips_and_tails_follow_the_formula_too(flips):
    plan = TermPlan(bands=256, term_bits=12, flips=flips, tail_flips=8)
    for cosine in COSINES[:5]:
        overlap = matches(plan, *signed_pairs(cosine, seed=3)).mean() / plan.bands
        chance = float(match_chance(angle_share(cosine), 12, flips, 8))
        assert overlap == pytest.approx(chance, rel=0.08, abs=0.002)


def test_overlap_is_jaccard_of_term_sets():
    """Of two sets of L terms with overlap o, one term a band: J = o / (2 L - o)."""
    plan = TermPlan(bands=128, term_bits=8, flips=0, tail_flips=32)
    left, right = signed_pairs(0.95, seed=2)
    shared = matches(plan, left, right)
    for row in range(20):
        overlap = int(shared[row])
        expected = overlap / (2 * plan.bands - overlap)
        assert jaccard(plan, left[row], right[row]) == pytest.approx(expected)


def test_overlap_ranks_pairs_as_the_cosine_does():
    plan = TermPlan(bands=256, term_bits=8, flips=0, tail_flips=32)
    means = [matches(plan, *signed_pairs(cosine, seed=4)).mean() for cosine in COSINES]
    assert means == sorted(means, reverse=True)
