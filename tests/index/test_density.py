import numpy as np
import pytest

from neardup.index.density import describe
from neardup.index.hamming import pairs_within_batch
from neardup.index.sample import draw
from tests.index.planning import crowd, flipped


def ideal(n, seed):
    return np.random.default_rng(seed).integers(0, 256, (n, 128), np.uint8)


def test_ideal_bits_are_neither_skewed_nor_correlated():
    density = describe(draw(ideal(4000, 1), flipped(500, 1), 325, pairs=2**20))
    assert density.imbalance < 0.02 and density.correlation < 0.005
    assert density.skew == pytest.approx(1, abs=0.15)
    assert density.random[-1] == pytest.approx(512, abs=2)
    assert density.within == 0


def test_skewed_bits_are_seen():
    bits = np.random.default_rng(1).random((4000, 1024)) < 0.8
    density = describe(draw(np.packbits(bits, axis=1), flipped(500, 1), 325, pairs=2**20))
    assert density.imbalance == pytest.approx(0.6, abs=0.01)
    # two bits agree with a chance of .8^2 + .2^2 = .68 instead of .5
    assert density.skew == pytest.approx((0.68 / 0.5) ** 16, rel=0.05)


def test_correlated_bits_are_seen():
    bits = np.random.default_rng(1).random((3000, 512)) < 0.5
    density = describe(draw(np.packbits(np.hstack([bits, bits]), axis=1), flipped(9, 1), 325))
    assert density.correlation == pytest.approx((1 / 1023) ** 0.5, rel=0.1)


def test_constant_bits_are_no_division_by_zero():
    density = describe(draw(np.zeros((50, 128), np.uint8), flipped(9, 1), 325))
    assert density.imbalance == 1 and density.correlation == 0 and density.within == 1


def test_percentiles_of_links_are_weighted():
    links = np.zeros((3, 128), np.uint8)
    links[1, 0], links[2, :2] = 1, 3
    sample = draw(crowd(50, 1), links, 325, np.array([1.0, 1.0, 98.0]))
    assert describe(sample).links == (4.0, 4.0, 4.0, 4.0)
    assert describe(draw(crowd(50, 1), links, 325)).links == (0.0, 1.0, 4.0, 4.0)


def test_each_pin_is_in_as_many_pairs_and_in_none_with_itself():
    sample = draw(crowd(101, 1), flipped(9, 1), 325, pairs=3000)
    left = np.concatenate([pairs.left for pairs in sample.random])
    right = np.concatenate([pairs.right for pairs in sample.random])
    assert (left != right).all() and len(left) == 29 * 101
    assert np.ptp(np.bincount(left)) == 0 and np.ptp(np.bincount(right)) == 0
    pairs = {frozenset(pair) for pair in zip(left.tolist(), right.tolist(), strict=True)}
    assert len(pairs) == len(left)


@pytest.mark.parametrize("n", [2, 3, 9, 40])
def test_small_samples_have_the_pairs_there_are(n):
    sample = draw(crowd(n, 1), flipped(9, 1), 325)
    pairs = {
        frozenset(pair)
        for group in sample.random
        for pair in zip(group.left.tolist(), group.right.tolist(), strict=True)
    }
    assert len(pairs) >= n * (n - 1) / 2 - n / 2
    assert np.isfinite(sample.curve(32, 1).error.matches).all()


def test_pairs_within_the_radius_are_those_of_the_sample():
    signatures = np.concatenate([crowd(1500, 2), crowd(1500, 2) ^ flipped(1500, 2)])
    sample = draw(signatures, flipped(9, 1), 325)
    exact = pairs_within_batch(sample.signatures, 325)
    found = set(zip(sample.near.left.tolist(), sample.near.right.tolist(), strict=True))
    assert found == set(zip(exact.query.tolist(), exact.corpus.tolist(), strict=True))
    assert sample.within == pytest.approx(len(exact.query) / (3000 * 2999 / 2))


def test_a_crowd_of_copies_costs_bounded_memory():
    sample = draw(np.zeros((9000, 128), np.uint8), flipped(9, 1), 325, pairs=2**16)
    assert sample.within == 1 and len(sample.near.left) < 2**21


def test_links_beyond_the_radius_do_not_count():
    links = np.concatenate([flipped(20, 1), np.full((5, 128), 255, np.uint8)])
    sample = draw(crowd(50, 1), links, 325, np.arange(25.0))
    assert len(sample.links) == 20 and sample.weights.tolist() == list(range(20))


def test_a_curve_is_counted_once():
    sample = draw(crowd(50, 1), flipped(9, 1), 325)
    assert sample.curve(32, 1) is sample.curve(32, 1)
    assert sample.curve(32, 1) is not sample.curve(32, 2)


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="1 signatures make no pair"):
        draw(crowd(1, 1), flipped(9, 1), 325)
    with pytest.raises(ValueError, match="none of 9 links is within 3 bits"):
        draw(crowd(9, 1), flipped(9, 1), 3)
