"""The plain net: against loops in numpy, in any company; with 8-bit weights nearly the same."""

import numpy as np
import pytest

from neardup.models.feed_forward import (
    REFERENCE,
    FeedForward,
    FeedForwardScorer,
    train_feed_forward,
)
from neardup.models.int8 import Int8Scorer, converted
from neardup.models.looks import LOOKS_BYTES
from neardup.models.training import Labelled, Pairs

SIZES = (1024, 64, 32, 1)


def some_pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    left = rng.integers(0, 256, (count, 128), np.uint8)
    flips = rng.random((count, 1024)) < rng.uniform(0, 0.5, (count, 1))
    return left, left ^ np.packbits(flips, axis=1)


def by_numpy(net: FeedForward, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    values = np.unpackbits(left ^ right, axis=1).astype(np.float64)
    for i, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
        values = values @ weight + bias
        if i < len(net.weights) - 1:
            values = np.maximum(values, 0)
    return values[:, 0]


def test_the_reference_has_about_ten_million_parameters() -> None:
    assert FeedForward.drawn(REFERENCE, 1).operations / 2 == pytest.approx(10e6, rel=0.06)


def test_scores_are_those_of_numpy_in_any_company() -> None:
    net, (left, right) = FeedForward.drawn(SIZES, 1), some_pairs(300)
    scores = FeedForwardScorer(net, batch=128).log_odds(left, right)
    np.testing.assert_allclose(scores, by_numpy(net, left, right), rtol=1e-4, atol=1e-4)
    strangers = np.arange(300) % 2 == 1
    other = np.where(strangers[:, None], right[::-1], right)
    beside = FeedForwardScorer(net, batch=128).log_odds(left, other)
    np.testing.assert_array_equal(beside[~strangers], scores[~strangers])
    assert (beside[strangers] != scores[strangers]).any()
    order = np.random.default_rng(2).permutation(300)
    again = FeedForwardScorer(net, batch=128).log_odds(left[order], right[order])
    # Not to the bit: without AVX-512, TensorFlow sums some rows of a batch in another order.
    np.testing.assert_allclose(again, scores[order], rtol=0, atol=2e-6)


def test_eight_bits_are_nearly_enough() -> None:
    net, (left, right) = FeedForward.drawn(SIZES, 1), some_pairs(300)
    exact = by_numpy(net, left, right)
    rounded = Int8Scorer(converted(net, batch=128)).log_odds(left, right)
    assert np.corrcoef(exact, rounded)[0, 1] > 0.99
    assert 0 < np.abs(exact - rounded).max() < 0.2 * exact.std()


def test_it_learns_to_tell_near_from_far_and_repeats_itself() -> None:
    left, right = some_pairs(2000)
    near = np.bitwise_count(left ^ right).sum(axis=1) < 200
    signatures, rows = np.concatenate([left, right]), np.arange(2000)
    nobody = np.zeros(4000, np.int64)
    labelled = Labelled(signatures, signatures[:, :LOOKS_BYTES], nobody, nobody, nobody)
    pairs = Pairs(rows, rows + 2000, near)
    nets = [
        train_feed_forward(labelled, pairs, SIZES, epochs=4, batch=64, rate=1e-3) for _ in range(2)
    ]
    scores = by_numpy(nets[0], left, right)
    assert ((scores > 0) == near).mean() > 0.95
    for one, other in zip(nets[0].weights, nets[1].weights, strict=True):
        np.testing.assert_array_equal(one, other)
