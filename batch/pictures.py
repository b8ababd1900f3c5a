"""The embeddings that training learns from: folders of pictures and edited copies of each."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.random import Generator
from PIL import Image
from tqdm import tqdm

from neardup.models.edits import EDITS, edit
from neardup.models.embed import Embedder, open_embedder
from neardup.models.images import decode
from neardup.schemas.errors import BadEvent, SettingsError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif"}


@dataclass(frozen=True)
class Embedded:
    """Pictures and edited copies of them, as embeddings.

    ``names`` of the n pictures; ``folder`` int64 [n]: which of the folders each lies in;
    ``originals`` float32 [n, d]; ``edited`` float32 [m, d]; ``source`` int64 [m]: the picture
    that each copy was made from; ``edits`` [m]: what was done, for reports.
    """

    names: list[str]
    folder: npt.NDArray[np.int64]
    originals: npt.NDArray[np.float32]
    edited: npt.NDArray[np.float32]
    source: npt.NDArray[np.int64]
    edits: list[str]


class Recipe(NamedTuple):
    """How copies are made: which embedder, how many copies of a picture, from which seed."""

    embedder: str
    weights: Path | None
    copies: int
    seed: int


def embed_folders(
    folders: Sequence[Path], recipe: Recipe, *, processes: int = 1, without: Iterable[str] = ()
) -> Embedded:
    """Embed the pictures of ``folders`` and ``recipe.copies`` edited copies of each.

    Files named in ``without`` are left out; files that are no readable picture are passed over.
    A picture's copies depend on its name and the seed alone. Raises SettingsError if no picture
    is found.
    """
    hidden = set(without)
    files = [(i, path) for i, folder in enumerate(folders) for path in pictures_of(folder)]
    files = [(i, path) for i, path in files if path.name not in hidden]
    done = [row for row in _embed_all(files, recipe, processes) if row is not None]
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
    )


def pictures_of(folder: Path) -> list[Path]:
    """Picture files below ``folder``, by their suffix, sorted. Raises SettingsError."""
    if not folder.is_dir():
        raise SettingsError(f"There is no folder {folder}: give --images one with pictures.")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def random_edits(image: Image.Image, rng: Generator) -> tuple[Image.Image, str]:
    """One edit of the catalogue at any strength; every third time two, as reposts are."""
    names = rng.choice(sorted(EDITS), size=2 if rng.random() < 1 / 3 else 1, replace=False)
    for name in names:
        image = edit(image, str(name), float(rng.random()), rng)
    return image, "+".join(str(name) for name in names)


class _Row(NamedTuple):
    folder: int
    name: str
    vectors: npt.NDArray[np.float32]
    edits: list[str]


def _embed_all(
    files: list[tuple[int, Path]], recipe: Recipe, processes: int
) -> Iterator[_Row | None]:
    bar = partial(tqdm, total=len(files), unit="picture", desc="embed")
    if processes == 1:
        yield from bar(_embed_file(recipe, file) for file in files)
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield from bar(pool.map(partial(_embed_file, recipe), files, chunksize=16))


def _embed_file(recipe: Recipe, file: tuple[int, Path]) -> _Row | None:
    folder, path = file
    try:
        image = decode(path.read_bytes())
    except BadEvent:
        return None
    rng = np.random.default_rng([recipe.seed, zlib.crc32(path.name.encode())])
    copies = [random_edits(image, rng) for _ in range(recipe.copies)]
    images = [image, *(copy for copy, _ in copies)]
    vectors = _embedder(recipe.embedder, recipe.weights).embed(images)
    return _Row(folder, path.name, vectors, [name for _, name in copies])


@cache
def _embedder(spec: str, weights: Path | None) -> Embedder:
    return open_embedder(spec, weights=weights)
