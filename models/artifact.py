"""Learned arrays on disk: NAME.npz beside NAME.json, the card that says what they are.

The card holds the format, the kind, the SHA-256 of the .npz, shape and dtype of every array, and
whatever the maker noted (version, figures, seed, licences). Nothing in either file can run code.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.schemas.errors import ArtifactError

FORMAT = 1

Arrays = Mapping[str, npt.NDArray[Any]]


class Artifact(NamedTuple):
    """Arrays by name, and their card."""

    arrays: dict[str, npt.NDArray[Any]]
    card: dict[str, Any]


def save_artifact(path: Path, kind: str, arrays: Arrays, card: Mapping[str, Any]) -> None:
    """Write ``path`` (.npz) and the card beside it (.json).

    The same arrays give the same bytes, so the checksum says whether two artifacts are one.
    """
    data = _packed(arrays)
    path = path.with_suffix(".npz")
    described = {
        "format": FORMAT,
        "kind": kind,
        "sha256": hashlib.sha256(data).hexdigest(),
        "arrays": {name: _description(array) for name, array in arrays.items()},
        **card,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.with_suffix(".json").write_text(json.dumps(described, indent=2) + "\n", "utf-8")


def load_artifact(path: Path, kind: str) -> Artifact:
    """Read what save_artifact wrote, all of it checked against the card.

    ``path``: the .npz, the .json, or the name without either. Raises ArtifactError.
    """
    path = path.with_suffix(".npz")
    data, card = _read(path), _read_card(path.with_suffix(".json"))
    if card.get("format") != FORMAT:
        raise ArtifactError(
            f"{path} has format {card.get('format')!r}; this neardup reads {FORMAT}. "
            "Train it again with this version."
        )
    if card.get("kind") != kind:
        raise ArtifactError(f"{path} is a {card.get('kind')!r}, not a {kind!r}: give another path.")
    found = hashlib.sha256(data).hexdigest()
    if found != card.get("sha256"):
        raise ArtifactError(
            f"{path} is damaged or not the file its card was written for: its SHA-256 is {found}, "
            f"the card says {card.get('sha256')}. Restore both files."
        )
    arrays = _unpacked(path, data)
    described = {name: _description(array) for name, array in arrays.items()}
    if described != card.get("arrays"):
        raise ArtifactError(f"{path} holds {described}, its card says {card.get('arrays')}.")
    return Artifact(arrays, card)


def content_hash(arrays: Arrays) -> str:
    """SHA-256 (hex) of names, shapes, dtypes and values: the identity of learned arrays."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        digest.update(json.dumps([name, _description(array)], sort_keys=True).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _description(array: npt.NDArray[Any]) -> dict[str, Any]:
    return {"shape": list(array.shape), "dtype": array.dtype.str}


def _packed(arrays: Arrays) -> bytes:
    """As numpy.savez_compressed, without the time of day that it writes into the zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(arrays[name], order="C"), version=(1, 0))
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, member.getvalue())
    return buffer.getvalue()


def _unpacked(path: Path, data: bytes) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{path} is no archive of plain arrays ({error}).") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"Cannot read the model file {path} ({error}): check the path in the settings, "
            "or install neardup again if it is a bundled one."
        ) from None


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(_read(path))
    except ValueError as error:
        raise ArtifactError(f"The card {path} is not JSON ({error}): restore the file.") from None
    if not isinstance(card, dict):
        raise ArtifactError(f"The card {path} is not a JSON object: restore the file.")
    return card
