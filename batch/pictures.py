"""The embeddings that training learns from: folders of pictures and edited copies of each.

Embedding takes nearly all the time of a training, so each part is kept on disk as it comes, under
a name made of all that it depends on: a killed training goes on where it was.
"""

import hashlib
import logging
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.random import Generator
from PIL import Image
from tqdm import tqdm

from neardup.batch.processes import each
from neardup.models import edits as catalogue
from neardup.models import pixels
from neardup.models.checkpoint import load_checkpoint, save_checkpoint
from neardup.models.edits import EDITS, edit
from neardup.models.embed import Embedder, open_embedder
from neardup.models.images import decode
from neardup.models.pixels import FEATURES, looks_features
from neardup.schemas.errors import BadEvent, SettingsError

log = logging.getLogger(__name__)

PART = 32  # pictures that are embedded and kept together: about 5 seconds
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif"}


@dataclass(frozen=True)
class Embedded:
    """Pictures and edited copies of them, as embeddings and as what their looks are made from.

    ``names`` of the n pictures; ``folder`` int64 [n]: which of the folders each lies in;
    ``originals`` float32 [n, d]; ``edited`` float32 [m, d]; ``source`` int64 [m]: the picture
    that each copy was made from; ``edits`` [m]: what was done, "crop:0.31+blur:0.80": names and
    strengths; ``original_looks`` int16 [n, 127] and ``edited_looks`` int16 [m, 127].
    """

    names: list[str]
    folder: npt.NDArray[np.int64]
    originals: npt.NDArray[np.float32]
    edited: npt.NDArray[np.float32]
    source: npt.NDArray[np.int64]
    edits: list[str]
    original_looks: npt.NDArray[np.int16]
    edited_looks: npt.NDArray[np.int16]


class Recipe(NamedTuple):
    """How copies are made: which embedder, how many copies of a picture, from which seed."""

    embedder: str
    weights: Path | None
    copies: int
    seed: int


def embed_folders(
    folders: Sequence[Path],
    recipe: Recipe,
    *,
    processes: int = 1,
    without: Iterable[str] = (),
    cache: Path | None = None,
) -> Embedded:
    """Embed the pictures of ``folders`` and ``recipe.copies`` edited copies of each.

    Files named in ``without`` are left out; files that are no readable picture are passed over,
    and named in the log. A picture's copies depend on its name and the seed alone. ``cache``: a
    folder in which the parts are kept, and looked for. Raises SettingsError if no picture is found.
    """
    hidden = set(without)
    files = [(i, path) for i, folder in enumerate(folders) for path in pictures_of(folder)]
    files = [(i, path) for i, path in files if path.name not in hidden]
    done = list(_embed_all(files, recipe, processes, cache))
    _tell_unreadable(files, done)
    if not done:
        listed = ", ".join(str(folder) for folder in folders)
        raise SettingsError(f"No readable picture below {listed}: give --images another folder.")
    return Embedded(
        names=[row.name for row in done],
        folder=np.array([row.folder for row in done], np.int64),
        originals=np.stack([row.vectors[0] for row in done]),
        edited=np.concatenate([row.vectors[1:] for row in done]),
        source=np.repeat(np.arange(len(done)), recipe.copies),
        edits=[name for row in done for name in row.edits],
        original_looks=np.stack([row.looks[0] for row in done]),
        edited_looks=np.concatenate([row.looks[1:] for row in done]),
    )


def pictures_of(folder: Path) -> list[Path]:
    """Picture files below ``folder``, by their suffix, sorted. Raises SettingsError."""
    if not folder.is_dir():
        raise SettingsError(f"There is no folder {folder}: give --images one with pictures.")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def files_of(embedded: Embedded, folders: Sequence[Path]) -> list[Path]:
    """The files of the n pictures, which were embedded from ``folders``."""
    paths = [{path.name: path for path in pictures_of(folder)} for folder in folders]
    places = zip(embedded.folder.tolist(), embedded.names, strict=True)
    return [paths[folder][name] for folder, name in places]


def random_edits(image: Image.Image, rng: Generator) -> tuple[Image.Image, str]:
    """One edit of the catalogue at any strength; every third time two, as reposts are."""
    names = rng.choice(sorted(EDITS), size=2 if rng.random() < 1 / 3 else 1, replace=False)
    done = []
    for name in names:
        strength = float(rng.random())
        image = edit(image, str(name), strength, rng)
        done.append(f"{name}:{strength:.2f}")
    return image, "+".join(done)


class _Row(NamedTuple):
    folder: int
    name: str
    vectors: npt.NDArray[np.float32]
    looks: npt.NDArray[np.int16]
    edits: list[str]


def _embed_all(
    files: list[tuple[int, Path]], recipe: Recipe, processes: int, cache: Path | None
) -> Iterator[_Row]:
    parts = [files[start : start + PART] for start in range(0, len(files), PART)]
    work = partial(_embed_part, recipe, cache)
    with tqdm(total=len(files), unit="picture", desc="embed") as bar:
        for part, rows in zip(parts, each(work, parts, processes), strict=True):
            bar.update(len(part))
            yield from rows


def _embed_part(recipe: Recipe, cache: Path | None, files: list[tuple[int, Path]]) -> list[_Row]:
    data = [path.read_bytes() for _, path in files]
    identity = _identity(recipe, [path.name for _, path in files], data)
    kept_at = cache / f"{identity[:32]}.npz" if cache else None
    kept = load_checkpoint(kept_at, identity)
    if kept is None:
        kept = _embedded(recipe, files, data)
        if kept_at:
            save_checkpoint(kept_at, identity, kept)
    return [
        _Row(files[at][0], files[at][1].name, vectors, looks, edits.tolist())
        for at, vectors, looks, edits in zip(
            *(kept[name] for name in ("at", "vectors", "looks", "edits")), strict=True
        )
    ]


def _embedded(
    recipe: Recipe, files: list[tuple[int, Path]], data: list[bytes]
) -> dict[str, npt.NDArray[Any]]:
    """Which of the files are pictures: ``at`` [k]; ``vectors`` [k, 1 + copies, d]; ``looks``
    [k, 1 + copies, 127]; ``edits``."""
    embedder = _embedder(recipe.embedder, recipe.weights)
    at, vectors, looks, edits = [], [], [], []
    for i, ((_, path), content) in enumerate(zip(files, data, strict=True)):
        try:
            image = decode(content)
        except BadEvent:
            continue
        rng = np.random.default_rng([recipe.seed, zlib.crc32(path.name.encode())])
        copies = [random_edits(image, rng) for _ in range(recipe.copies)]
        at.append(i)
        pictures = [image, *(copy for copy, _ in copies)]
        vectors.append(embedder.embed(pictures))
        looks.append([looks_features(picture) for picture in pictures])
        edits.append([done for _, done in copies])
    shape = (len(at), recipe.copies + 1, embedder.dim)
    return {
        "at": np.array(at, np.int64),
        "vectors": np.array(vectors, np.float32).reshape(shape),
        "looks": np.array(looks, np.int16).reshape(*shape[:2], FEATURES),
        "edits": np.array(edits, np.str_).reshape(len(at), recipe.copies),
    }


def _identity(recipe: Recipe, names: list[str], data: list[bytes]) -> str:
    """SHA-256 of all that the embeddings of a part depend on, how copies are made included."""
    digest = hashlib.sha256()
    for code in (catalogue.__file__, pixels.__file__, __file__):
        digest.update(Path(code).read_bytes())
    digest.update(repr((recipe.embedder, recipe.copies, recipe.seed, names)).encode())
    if recipe.weights:
        digest.update(recipe.weights.read_bytes())
    for content in data:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def _tell_unreadable(files: list[tuple[int, Path]], done: list[_Row]) -> None:
    read = {(row.folder, row.name) for row in done}
    lost = [path.name for folder, path in files if (folder, path.name) not in read]
    if lost:
        some = ", ".join(lost[:5])
        log.warning("%d of %d files are no readable picture: %s", len(lost), len(files), some)


@cache
def _embedder(spec: str, weights: Path | None) -> Embedder:
    return open_embedder(spec, weights=weights)
