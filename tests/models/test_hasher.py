"""Signatures do not depend on company, order or batch; learning gives what its formula says."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.models.hasher import BITS, BUNDLED, Hasher, learn_hasher
from neardup.schemas.errors import ArtifactError


@pytest.fixture(scope="module")
def bundled() -> Hasher:
    return Hasher.load()


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    rng = np.random.default_rng(1)
    return (0.0235 * rng.integers(0, 256, (330, 1024)) * (rng.random((330, 1024)) < 0.5)).astype(
        np.float32
    )


@pytest.mark.parametrize("size", range(1, 34))
def test_batch_size_changes_no_bit(bundled: Hasher, vectors: np.ndarray, size: int) -> None:
    alone = bundled.sign(vectors)
    parts = [bundled.sign(vectors[i : i + size]) for i in range(0, len(vectors), size)]
    np.testing.assert_array_equal(np.concatenate(parts), alone)


def test_no_sum_is_ever_rounded(bundled: Hasher, vectors: np.ndarray) -> None:
    # The oracle adds Python's whole numbers.
    assert (bundled.projection == np.rint(bundled.projection)).all()
    for vector in vectors[:2]:
        whole = [round(x) for x in ((vector.astype(float) - bundled.mean) / bundled.step).tolist()]
        for bit in range(0, BITS, 61):
            column = [int(w) for w in bundled.projection[:, bit]]
            total = sum(a * b for a, b in zip(whole, column, strict=True))
            signed = np.unpackbits(bundled.sign(vector[None]), axis=1)[0, bit]
            assert signed == (total > 0)
            assert sum(abs(a * b) for a, b in zip(whole, column, strict=True)) < 2**53


@given(order=st.permutations(range(12)), scale=st.sampled_from([1e-30, 1.0, 1e6, 3e38]))
@settings(max_examples=20, deadline=None)
def test_order_and_size_of_values_are_no_matter(order: list[int], scale: float) -> None:
    hasher = Hasher.load()
    rng = np.random.default_rng(3)
    some = (rng.uniform(-1, 1, (12, hasher.dim)) * scale).astype(np.float32)
    np.testing.assert_array_equal(hasher.sign(some[order]), hasher.sign(some)[order])


def test_shape_and_dtype(bundled: Hasher, vectors: np.ndarray) -> None:
    signed = bundled.sign(vectors[:3])
    assert signed.shape == (3, 128)
    assert signed.dtype == np.uint8
    assert signed.flags.c_contiguous
    assert bundled.sign(vectors[:0]).shape == (0, 128)
    with pytest.raises(ValueError, match=r"\[n, 1024\]"):
        bundled.sign(vectors[:, :1000])


def crowd(seed: int = 5, pictures: int = 400, dim: int = 64) -> tuple[Any, Any, Any]:
    """Pictures, and copies that edits move along the first eight axes only."""
    rng = np.random.default_rng(seed)
    originals = rng.normal(2, 1, (pictures, dim)).astype(np.float32)
    source = np.repeat(np.arange(pictures), 3)
    change = rng.normal(0, 0.05, (len(source), dim))
    change[:, :8] += rng.normal(0, 3, (len(source), 8))
    return originals, (originals[source] + change).astype(np.float32), source


def test_learning_ignores_what_edits_change() -> None:
    originals, edited, source = crowd()
    hasher = learn_hasher(originals, edited, source, 1, directions=64)
    a, b = hasher.sign(originals)[source], hasher.sign(edited)
    moved = np.bitwise_count(a ^ b).sum(axis=1).mean()
    others = np.bitwise_count(a ^ np.roll(b, 3, axis=0)).sum(axis=1).mean()
    assert moved < 0.5 * others
    assert 0.4 < np.unpackbits(a, axis=1).mean() < 0.6


def test_learning_is_a_function_of_pictures_and_seed() -> None:
    versions = [learn_hasher(*crowd(), seed, directions=64).version for seed in (1, 1, 2)]
    assert versions[0] == versions[1] != versions[2]


def test_the_embedder_is_part_of_the_version() -> None:
    one, other = (learn_hasher(*crowd(), 1, directions=64, embedder=name) for name in "ab")
    assert one.version != other.version


@pytest.mark.parametrize(
    ("pictures", "copies", "directions"), [(1, 3, 64), (4, 0, 64), (4, 12, 48)]
)
def test_what_cannot_be_learned_from_is_refused(
    pictures: int, copies: int, directions: int
) -> None:
    originals, edited, source = crowd(pictures=pictures)
    with pytest.raises(ValueError, match=r"too few|divide"):
        learn_hasher(originals, edited[:copies], source[:copies], 1, directions=directions)


def test_copies_that_do_not_differ_are_refused() -> None:
    originals, _, source = crowd()
    with pytest.raises(ValueError, match="no copy differs"):
        learn_hasher(originals, originals[source], source, 1, directions=64)


def test_saved_and_loaded(tmp_path: Path, bundled: Hasher) -> None:
    hasher = learn_hasher(*crowd(), 1, directions=64, embedder="mine")
    hasher.save(tmp_path / "mine.npz", {"seed": 1})
    again = Hasher.load(tmp_path / "mine.npz")
    assert (again.version, again.embedder, again.dim) == (hasher.version, "mine", 64)
    np.testing.assert_array_equal(again.projection, hasher.projection)
    assert bundled.version != hasher.version


def test_a_card_of_another_version_is_refused(tmp_path: Path) -> None:
    for suffix in (".npz", ".json"):
        shutil.copy(BUNDLED.with_suffix(suffix), tmp_path / f"hasher{suffix}")
    card = json.loads((tmp_path / "hasher.json").read_text())
    (tmp_path / "hasher.json").write_text(json.dumps({**card, "step": card["step"] * 2}))
    with pytest.raises(ArtifactError, match="its card says"):
        Hasher.load(tmp_path / "hasher.npz")
    card.pop("embedder")
    (tmp_path / "hasher.json").write_text(json.dumps(card))
    with pytest.raises(ArtifactError, match="lacks a part"):
        Hasher.load(tmp_path / "hasher.npz")
