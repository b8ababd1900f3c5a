import numpy as np
import pytest

from neardup.index.segment import LARGEST_K, SMALLEST_K, k_for
from neardup.index.terms import Bands, recall


def links_flips(n: int) -> np.ndarray:
    """The shares of differing bits that links have, as evenly spaced quantiles."""
    quantiles = (np.arange(n) + 0.5) / n
    return np.interp(quantiles, [0, 0.5, 0.9, 0.99, 1], [0, 0.11, 0.21, 0.27, 0.30])


def test_bands_come_from_the_seed_and_never_change():
    bits = Bands().bits
    assert bits.shape == (128, 24) and bits.dtype == np.int16
    assert all(len(set(band)) == 24 for band in bits.tolist())
    assert bits.min() >= 0 and bits.max() < 1024
    assert (Bands().bits == bits).all() and (Bands(seed=1).bits != bits).any()
    # stored segments of several releases share a memtable's overlaps: this must not drift
    assert bits[0, :6].tolist() == FIRST_BAND and bits[127, :6].tolist() == LAST_BAND


FIRST_BAND = [149, 556, 637, 355, 557, 31]
LAST_BAND = [230, 70, 182, 540, 170, 927]


@pytest.mark.parametrize("k", [1, 8, 13, 24])
def test_terms_are_the_first_k_bits_of_each_band(make_signatures, k):
    signatures, bands = make_signatures(50, seed=k), Bands()
    bits = np.unpackbits(signatures, axis=1)
    expected = np.zeros((128, 50), np.uint32)
    for position in range(k):
        expected = expected << 1 | bits[:, bands.bits[:, position]].T
    assert (bands.terms(signatures, k) == expected).all()


def test_a_shorter_term_is_a_prefix(make_signatures):
    signatures, bands = make_signatures(50, seed=1), Bands()
    assert (bands.terms(signatures, 9) == bands.terms(signatures, 10) >> 1).all()


def test_overlap_follows_the_arithmetic():
    """The share of bands in which two signatures agree is (1 - p)^k."""
    rng = np.random.default_rng(5)
    for flips in (0.05, 0.11, 0.21):
        left = rng.random((400, 1024)) < 0.5
        right = left ^ (rng.random((400, 1024)) < flips)
        bands = Bands()
        terms = [bands.terms(np.packbits(side, axis=1), 10) for side in (left, right)]
        assert (terms[0] == terms[1]).mean() == pytest.approx((1 - flips) ** 10, rel=0.05)


@pytest.mark.parametrize("n", [0, 1, 255, 4096, 16_384, 65_536, 10**7])
def test_k_keeps_recall_over_the_links_distances(n):
    k = k_for(n)
    assert SMALLEST_K <= k <= LARGEST_K
    assert recall(links_flips(10_000), k, 128).mean() >= 0.99


def test_k_grows_with_the_segment():
    assert [k_for(n) for n in (0, 1024, 4096, 16_384, 65_536)] == [8, 8, 10, 12, 13]
    assert recall(links_flips(10_000), LARGEST_K + 1, 128).mean() < 0.99


@pytest.mark.parametrize("wrong", [{"width": 0}, {"width": 33}, {"count": 0}, {"n_bits": 1001}])
def test_impossible_bands_are_refused(wrong):
    with pytest.raises(ValueError):
        Bands(**wrong)
