"""Chances and thresholds with an interval, against plain loops and made odds."""

import numpy as np
import pytest

from neardup.batch.reliability import reliability_svg
from neardup.models.calibration import bounded_threshold, even_odds, reliability, threshold_at


def test_even_odds_are_where_the_odds_are_even() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(0, 3, 50_000)
    same = rng.random(50_000) < 1 / (1 + np.exp(-(scores - 1.5)))
    assert even_odds(scores, same) == pytest.approx(1.5, abs=0.1)


def test_reliable_chances_have_no_error_and_wrong_ones_theirs() -> None:
    rng = np.random.default_rng(2)
    chances = rng.random(100_000)
    same = rng.random(100_000) < chances
    good, bad = reliability(chances, same), reliability(np.clip(chances + 0.1, 0, 1), same)
    assert good.pairs.sum() == 100_000
    assert good.expected_error < 0.01
    assert 0.08 < bad.expected_error < 0.12
    assert reliability_svg(good).count("<circle") == len(good.pairs)


def test_the_bound_is_surer_than_the_precision_itself() -> None:
    rng = np.random.default_rng(3)
    same = rng.random(4000) < 0.7
    scores = rng.normal(3.0 * same, 1.0)
    sources = rng.integers(0, 400, (4000, 2))
    sources[same, 1] = sources[same, 0]
    bounded = bounded_threshold(scores, same, sources, 0.98)
    assert bounded > threshold_at(scores, same, 0.98)
    assert same[scores >= bounded].mean() > 0.98


def test_many_false_pairs_of_two_pictures_are_one_misfortune() -> None:
    """The same number of false pairs, of two pictures or of all: the former may happen again."""
    rng = np.random.default_rng(4)
    same = np.ones(3000, np.bool_)
    same[rng.choice(3000, 24, replace=False)] = False
    scores = np.sort(rng.normal(0, 1, 3000))
    apart = np.stack([np.arange(3000) % 300, np.arange(3000) % 300], axis=1)
    apart[~same, 1] = (apart[~same, 0] + 7) % 300
    together = apart.copy()
    together[~same] = (5, 9)
    spread = bounded_threshold(scores, same, apart, 0.985)
    assert bounded_threshold(scores, same, together, 0.985) > spread


def test_no_threshold_is_infinity() -> None:
    same = np.zeros(10, np.bool_)
    sources = np.stack([np.arange(10), np.arange(10) + 20], axis=1)
    assert bounded_threshold(np.arange(10.0), same, sources, 0.9) == float("inf")
