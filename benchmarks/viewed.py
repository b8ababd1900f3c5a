"""What `bench views` measures: pictures and copies under all eight views, and the pairs reported.

Pictures: the demo's photos, and where the environment's NEARDUP_DATA names a folder that holds
them, its `photos/images`, `objects` and `labelled`.
"""

import io
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.random import Generator
from PIL import Image
from tqdm import tqdm

from neardup.batch.pictures import pictures_of
from neardup.batch.train import held_out
from neardup.benchmarks.figures import ROOT
from neardup.index.hamming import pairs_within
from neardup.models.classifier import Classifier, log_odds_numpy
from neardup.models.edits import EDITS, edit
from neardup.models.embed import MobileNetEmbedder
from neardup.models.hasher import Hasher
from neardup.models.images import decode
from neardup.models.views import TURNS, views
from neardup.schemas.settings import QUERY_VIEWS
from neardup.streaming.views import best_views

Int64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Chosen = tuple[int, ...]

DEMO = ROOT / "demo" / "photos"
NEVER_TRAINED_ON = ROOT / "models" / "data" / "heldout_photos.txt"
TURNED = dict(zip(("turn 90", "turn 180", "turn 270"), TURNS, strict=True))
KINDS = ("flip", "flip and another", *TURNED, *(name for name in EDITS if name != "flip"))


class Viewed(NamedTuple):
    """n pictures under v views: ``vectors`` float32 [v, n, d], ``signatures`` uint8 [v, n, 128].

    View 0 is upright. ``source`` int64 [n]: row of the picture that it was made from, itself for an
    original. ``kind`` [n]: of KINDS, or "" for an original. Originals come first.
    """

    vectors: Floats
    signatures: npt.NDArray[np.uint8]
    source: Int64
    kind: npt.NDArray[np.str_]


def data_folder() -> Path | None:
    """The folder that NEARDUP_DATA names, or None."""
    named = os.environ.get("NEARDUP_DATA")
    return Path(named) if named else None


def unseen(folder: Path) -> list[Path]:
    """The pictures below a folder that nothing bundled was trained on."""
    paths = pictures_of(folder)
    listed = set(NEVER_TRAINED_ON.read_text("utf-8").split())
    held = held_out([path.name for path in paths])
    return [path for path, out in zip(paths, held, strict=True) if out or path.name in listed]


def some(paths: Sequence[Path], count: int, seed: int) -> list[Path]:
    """``count`` of the paths by chance, in their order; all if there are fewer."""
    chosen = np.random.default_rng(seed).permutation(len(paths))[:count]
    return [paths[i] for i in sorted(chosen.tolist())]


def with_copies(paths: Sequence[Path], kinds: Sequence[str], seed: int) -> Viewed:
    """Each picture, and a copy of it by each of ``kinds``."""
    seen = embedded((p for path in paths for p in _picture_and_copies(path, kinds, seed)), True)
    rows = np.arange(seen.shape[1]).reshape(len(paths), 1 + len(kinds)).T.ravel()
    source = np.tile(np.arange(len(paths)), 1 + len(kinds))
    return _signed(seen[:, rows], source, np.repeat(["", *kinds], len(paths)))


def originals(paths: Sequence[Path], *, under_views: bool) -> Viewed:
    """The pictures themselves, under all views or upright alone."""
    seen = embedded((decode(path.read_bytes()) for path in paths), under_views)
    return _signed(seen, np.arange(len(paths)), np.repeat("", len(paths)))


def embedded(pictures: Iterable[Image.Image], under_views: bool) -> Floats:
    """Vectors float32 [v, n, d] of pictures under 8 views or 1."""
    embedder = MobileNetEmbedder()
    names = QUERY_VIEWS if under_views else ()
    rows = [
        embedder.embed([picture, *views(picture, names)])
        for picture in tqdm(pictures, desc="embed", unit="picture")
    ]
    return np.stack(rows, axis=1)


class Found(NamedTuple):
    """Pairs of rows: ``newer``, ``older`` int64 [n], the nearest ``view``, its ``hamming``."""

    newer: Int64
    older: Int64
    view: Int64
    hamming: npt.NDArray[np.int32]

    def take(self, keep: npt.NDArray[Any]) -> "Found":
        return Found(*(column[keep] for column in self))


def near(newer: Viewed, older: Viewed, chosen: Chosen, bits: int) -> Found:
    """The pairs of rows within ``bits`` under the best of the ``chosen`` views."""
    found = [pairs_within(newer.signatures[v], older.signatures[0], bits) for v in chosen]
    view = np.repeat(chosen, [len(pairs.query) for pairs in found])
    left, right, hamming = (np.concatenate(column) for column in zip(*found, strict=True))
    best = best_views(left, right, hamming, view)
    return Found(left.astype(np.int64), right.astype(np.int64), view, hamming).take(best)


def scored(
    classifier: Classifier, newer: Viewed, older: Viewed, chosen: Chosen, bits: int
) -> tuple[Found, Floats]:
    """The pairs of rows within ``bits``, with their log-odds float32 [n]."""
    found = near(newer, older, chosen, bits)
    left = newer.signatures[found.view, found.newer]
    return found, log_odds_numpy(classifier, left, older.signatures[0, found.older])


def _signed(vectors: Floats, source: Int64, kind: npt.NDArray[np.str_]) -> Viewed:
    hasher = Hasher.load()
    return Viewed(vectors, np.stack([hasher.sign(rows) for rows in vectors]), source, kind)


def _picture_and_copies(path: Path, kinds: Sequence[str], seed: int) -> Iterator[Image.Image]:
    picture = decode(path.read_bytes())
    rng = np.random.default_rng([seed, zlib.crc32(path.name.encode())])
    yield picture
    for kind in kinds:
        yield _posted(_copy(picture, kind, rng))


def _copy(picture: Image.Image, kind: str, rng: Generator) -> Image.Image:
    if kind in TURNED:
        return picture.transpose(TURNED[kind])
    if kind != "flip and another":
        return edit(picture, kind, float(rng.random()), rng)
    another = str(rng.choice([name for name in EDITS if name != "flip"]))
    return edit(edit(picture, "flip", 0, rng), another, float(rng.random()), rng)


def _posted(picture: Image.Image) -> Image.Image:
    """As it comes back from where it was posted: a JPEG of quality 85."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return decode(buffer.getvalue())
