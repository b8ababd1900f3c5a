"""What `neardup bench index` measures on: crowds and labelled pictures, kept between runs."""

import csv
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neardup.benchmarks.crowd import Floats, Mixture, Signatures, fit
from neardup.benchmarks.figures import ROOT
from neardup.models.embed import open_embedder
from neardup.models.hasher import BITS, Hasher
from neardup.models.images import decode
from neardup.models.pixels import Features, looks_features
from neardup.schemas.errors import EnvironmentProblem

CHUNK = 100_000
_VERSION = 1  # of the files: another way to draw is another version


def data_folder() -> Path:
    """The folder with ``crowd/`` and ``labelled/``: NEARDUP_DATA, else beside the repository.

    Raises EnvironmentProblem: the pictures may not be redistributed, so a clone does not hold them.
    """
    folder = Path(os.environ.get("NEARDUP_DATA", ROOT.parent / "shared" / "data"))
    for needed in ("crowd/embeddings_u8.npz", "labelled/groups.csv"):
        if not (folder / needed).is_file():
            raise EnvironmentProblem(
                f"The benchmark needs real embeddings and labelled pictures, and {folder / needed} "
                "is not there: set NEARDUP_DATA to the folder that holds them."
            )
    return folder


def real_embeddings() -> Floats:
    """Embeddings float32 [40000, 1024] of small pictures of 200 kinds of things."""
    with np.load(data_folder() / "crowd" / "embeddings_u8.npz") as stored:
        whole: Floats = stored["embeddings"].astype(np.float32) * np.float32(stored["scale"])
    return whole


class Crowds:
    """Drawn signatures and differences of links, kept in files between runs.

    ``seed`` is of the mixture and of what is drawn from it. Needs the data only for what is not
    kept yet.
    """

    def __init__(self, hasher: Hasher, seed: int, folder: Path | None = None) -> None:
        self._hasher, self._seed = hasher, seed
        self._folder = folder or cache_folder()
        self._mixture: Mixture | None = None

    @property
    def mixture(self) -> Mixture:
        if self._mixture is None:
            self._mixture = fit(real_embeddings(), self._hasher.mean, self._seed)
        return self._mixture

    def signatures(self, n: int) -> Signatures:
        """Signatures uint8 [n, 128], memory-mapped; a smaller crowd begins a larger one."""

        def write(path: Path) -> None:
            out = np.lib.format.open_memmap(path, "w+", np.uint8, (n, BITS // 8))
            for at, rng in self._chunks(n):
                out[at] = self.mixture.signatures(CHUNK, rng, self._hasher)[: at.stop - at.start]
            out.flush()

        return self._kept(f"crowd-{n}-{self._seed}", write)

    def embeddings(self, n: int) -> Floats:
        """The embeddings float32 [n, 1024] of the same pins, memory-mapped."""

        def write(path: Path) -> None:
            out = np.lib.format.open_memmap(path, "w+", np.float32, (n, self._hasher.dim))
            for at, rng in self._chunks(n):
                out[at] = self.mixture.embeddings(CHUNK, rng)[: at.stop - at.start]
            out.flush()

        return self._kept(f"embeddings-{n}-{self._seed}", write)

    def labelled(self) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Embeddings float32 [n, 1024] of the labelled pictures, and their groups int64 [n]."""
        files, groups = _labelled_files()

        def write(path: Path) -> None:
            embedder = open_embedder(self._hasher.embedder, threads=os.cpu_count() or 1)
            parts = [
                embedder.embed([decode(file.read_bytes()) for file in files[i : i + 64]])
                for i in range(0, len(files), 64)
            ]
            np.save(path, np.concatenate(parts))

        return self._kept("labelled", write), groups

    def labelled_looks(self) -> Features:
        """What the looks of the labelled pictures are made from, int16 [n, 127]."""

        def write(path: Path) -> None:
            files, _ = _labelled_files()
            np.save(path, [looks_features(decode(file.read_bytes())) for file in files])

        return self._kept("labelled-looks", write)

    def _chunks(self, n: int) -> Iterator[tuple[slice, np.random.Generator]]:
        """Each chunk has random numbers of its own, so that signatures and embeddings agree."""
        for begin in range(0, n, CHUNK):
            yield slice(begin, min(begin + CHUNK, n)), np.random.default_rng([self._seed, begin])

    def _kept(self, name: str, write: Callable[[Path], None]) -> npt.NDArray[Any]:
        path = self._folder / f"{name}-{self._hasher.version}-{_VERSION}.npy"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(f".{os.getpid()}.npy")
            write(unfinished)
            unfinished.rename(path)
        return np.asarray(np.load(path, mmap_mode="r"))


def cache_folder() -> Path:
    """``neardup/bench`` in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "neardup" / "bench"


def _labelled_files() -> tuple[list[Path], npt.NDArray[np.int64]]:
    """The labelled pictures, and their groups int64 [n]."""
    folder = data_folder() / "labelled"
    with (folder / "groups.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    names = {group: number for number, group in enumerate({row["group"]: 0 for row in rows})}
    files = [folder / "images" / row["file"] for row in rows]
    return files, np.array([names[row["group"]] for row in rows], np.int64)
