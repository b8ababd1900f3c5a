"""What is drawn behaves like what it was fitted to; planted pairs differ as they should."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neardup.benchmarks import index_data
from neardup.benchmarks.crowd import (
    Mixture,
    bit_statistics,
    easy_patterns,
    fit,
    link_patterns,
    plant,
    random_distances,
)
from neardup.benchmarks.index_data import Crowds
from neardup.models.hasher import Hasher, learn_hasher
from neardup.schemas.errors import EnvironmentProblem

DIM = 16


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """Two kinds of things, one twice as frequent, with unequal and correlated spread."""
    rng = np.random.default_rng(7)
    first = rng.normal(size=(4000, DIM)) @ rng.normal(size=(DIM, DIM)) / 4 + 3
    second = rng.normal(size=(2000, DIM)) @ rng.normal(size=(DIM, DIM)) / 4 - 3
    return np.concatenate([first, second]).astype(np.float32)


@pytest.fixture(scope="module")
def hasher(vectors: np.ndarray) -> Hasher:
    rng = np.random.default_rng(8)
    edited = vectors[:500] + rng.normal(0, 0.1, (500, DIM)).astype(np.float32)
    return learn_hasher(vectors[:500], edited, np.arange(500), 1, directions=DIM)


@pytest.fixture(scope="module")
def mixture(vectors: np.ndarray, hasher: Hasher) -> Mixture:
    return fit(vectors, hasher.mean, seed=1, directions=DIM, components=2)


def test_means_shares_and_covariances_are_those_of_the_fitted(
    vectors: np.ndarray, mixture: Mixture
) -> None:
    drawn = mixture.embeddings(60_000, np.random.default_rng(2))
    assert np.sort(mixture.weights) == pytest.approx([1 / 3, 2 / 3])
    np.testing.assert_allclose(drawn.mean(axis=0), vectors.mean(axis=0), atol=0.1)
    real, sampled = np.cov(vectors.T), np.cov(drawn.T)
    assert np.abs(sampled - real).max() < 0.05 * np.abs(real).max()


def test_signatures_are_those_of_the_embeddings(mixture: Mixture, hasher: Hasher) -> None:
    signatures = mixture.signatures(2000, np.random.default_rng(3), hasher)
    embeddings = mixture.embeddings(2000, np.random.default_rng(3))
    differing = np.bitwise_count(signatures ^ hasher.sign(embeddings)).sum()
    assert differing < 2000 * 1024 * 1e-3  # rounding moves what is next to zero


def test_a_smaller_crowd_begins_a_larger_one_and_is_kept(
    mixture: Mixture, hasher: Hasher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_data, "CHUNK", 100)
    monkeypatch.setattr(Crowds, "mixture", mixture)
    crowds = Crowds(hasher, seed=4, folder=tmp_path)
    small, large = crowds.signatures(130), crowds.signatures(250)
    np.testing.assert_array_equal(large[:130], small)
    assert (large[100:200] != large[:100]).any()
    assert np.bitwise_count(small ^ hasher.sign(crowds.embeddings(130))).sum() < 130
    monkeypatch.setattr(Crowds, "mixture", None)
    np.testing.assert_array_equal(Crowds(hasher, 4, tmp_path).signatures(250), large)
    assert len(list(tmp_path.iterdir())) == 3


def test_missing_data_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARDUP_DATA", str(tmp_path))
    with pytest.raises(
        EnvironmentProblem, match=r"embeddings_u8\.npz is not there: set NEARDUP_DA"
    ):
        index_data.real_embeddings()


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.12, 1.0]))
def test_easy_patterns_flip_so_many_bits(seed: int, most: float) -> None:
    patterns = easy_patterns(50, np.random.default_rng(seed), most)
    assert patterns.shape == (50, 128)
    assert np.bitwise_count(patterns).sum(axis=1).max() <= most * 1024


def test_easy_patterns_are_uniform_in_share_and_place() -> None:
    bits = np.unpackbits(easy_patterns(4000, np.random.default_rng(5)), axis=1)
    shares = bits.mean(axis=1)
    assert np.quantile(shares, [0.25, 0.5, 0.75]) == pytest.approx([0.03, 0.06, 0.09], abs=0.005)
    assert bits.mean(axis=0) == pytest.approx(np.full(1024, 0.06), abs=0.02)


def test_link_patterns_are_of_pairs_of_a_group_within_the_radius() -> None:
    rng = np.random.default_rng(6)
    signatures = rng.integers(0, 256, (30, 128), np.uint8)
    groups = rng.integers(0, 3, 30)
    radius = 512
    expected = sorted(
        (signatures[i] ^ signatures[j]).tobytes()
        for i in range(30)
        for j in range(i)
        if groups[i] == groups[j]
        and np.bitwise_count(signatures[i] ^ signatures[j]).sum() <= radius
    )
    patterns = link_patterns(signatures, groups, radius)
    assert 0 < len(patterns) < 30 * 29 / 2
    assert sorted(row.tobytes() for row in patterns) == expected


@pytest.mark.parametrize("count", [0, 1, 500])
def test_planted_pins_differ_by_a_pattern(count: int) -> None:
    rng = np.random.default_rng(9)
    crowd, patterns = (rng.integers(0, 256, (n, 128), np.uint8) for n in (40, 6))
    queries, pins = plant(crowd, patterns, count, rng)
    known = {row.tobytes() for row in patterns}
    assert len(queries) == count
    assert all(row.tobytes() in known for row in queries ^ crowd[pins])


def test_bit_statistics_agree_with_numpy() -> None:
    rng = np.random.default_rng(10)
    signatures = rng.integers(0, 256, (300, 128), np.uint8)
    signatures[:, 0] |= 0x80  # a bit that is constant
    bits = np.unpackbits(signatures, axis=1)
    imbalance, correlations = bit_statistics(signatures)
    np.testing.assert_allclose(imbalance, np.abs(2 * bits.mean(axis=0) - 1), atol=1e-5)
    expected = np.zeros((1024, 1024))
    expected[1:, 1:] = np.corrcoef(bits[:, 1:].T)
    np.testing.assert_allclose(correlations, expected[np.triu_indices(1024, 1)], atol=1e-4)


def test_no_pin_is_paired_with_itself() -> None:
    rng = np.random.default_rng(11)
    signatures = rng.integers(0, 256, (3, 128), np.uint8)
    assert random_distances(signatures, 500, rng).min() > 0
