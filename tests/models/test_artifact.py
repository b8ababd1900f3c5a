"""What is written is read back; what was changed on the way is refused with a sentence."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neardup.models.artifact import content_hash, load_artifact, save_artifact
from neardup.schemas.errors import ArtifactError

ARRAYS: dict[str, Any] = {"a": np.arange(6, dtype=np.int16).reshape(2, 3), "b": np.array(0.5)}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_artifact(tmp_path / "thing.npz", "thing", ARRAYS, {"seed": 3})
    return tmp_path / "thing.npz"


def test_round_trip(saved: Path) -> None:
    for path in (saved, saved.with_suffix(".json"), saved.with_suffix("")):
        arrays, card = load_artifact(path, "thing")
        assert card["seed"] == 3
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(arrays[name], array)
            assert arrays[name].dtype == array.dtype


def test_the_same_arrays_give_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    save_artifact(tmp_path / "again.npz", "thing", dict(reversed(ARRAYS.items())), {})
    assert (tmp_path / "again.npz").read_bytes() == saved.read_bytes()


def test_one_changed_byte_is_noticed(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    data[len(data) // 2] ^= 1
    saved.write_bytes(data)
    with pytest.raises(ArtifactError, match="SHA-256"):
        load_artifact(saved, "thing")


def change_card(path: Path, **changes: Any) -> None:
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**card, **changes}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 99}, "format 99"),
        ({"kind": "other"}, "'other', not a 'thing'"),
        ({"arrays": {}}, "its card says"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(
    saved: Path, changes: dict[str, Any], words: str
) -> None:
    change_card(saved, **changes)
    with pytest.raises(ArtifactError, match=words):
        load_artifact(saved, "thing")


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_a_missing_half_is_named(saved: Path, suffix: str) -> None:
    saved.with_suffix(suffix).unlink()
    with pytest.raises(ArtifactError, match=f"thing{suffix}"):
        load_artifact(saved, "thing")


@pytest.mark.parametrize("text", ["{", "[]", '"card"'])
def test_a_broken_card_is_refused(saved: Path, text: str) -> None:
    saved.with_suffix(".json").write_text(text)
    with pytest.raises(ArtifactError, match="card"):
        load_artifact(saved, "thing")


def test_pickles_are_never_opened(saved: Path) -> None:
    import hashlib

    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([{"code": "here"}], dtype=object))
    saved.write_bytes(buffer.getvalue())
    change_card(saved, sha256=hashlib.sha256(buffer.getvalue()).hexdigest())
    with pytest.raises(ArtifactError, match="plain arrays"):
        load_artifact(saved, "thing")


def test_content_hash_sees_names_shapes_dtypes_and_values() -> None:
    others: list[dict[str, Any]] = [
        {**ARRAYS, "a": ARRAYS["a"].reshape(3, 2)},
        {**ARRAYS, "a": ARRAYS["a"].astype(np.int32)},
        {**ARRAYS, "a": ARRAYS["a"] + 1},
        {"c": ARRAYS["a"], "b": ARRAYS["b"]},
    ]
    assert len({content_hash(arrays) for arrays in [ARRAYS, *others]}) == 5
    assert content_hash(ARRAYS) == content_hash(dict(reversed(ARRAYS.items())))
