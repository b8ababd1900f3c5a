"""The pictures that `neardup bench classifier` judges on, as signatures; embeddings are kept.

`labelled/`: 1,881 pictures in groups, never trained on. `photos/` and `objects/`: the kinds that
the bundled classifier was trained on; every eighth picture of them, by its name, is held out of
all learning, and edited copies of those give the truth.
"""

import os
import zlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.batch.pictures import Embedded, Recipe, embed_folders, files_of, pictures_of
from neardup.batch.train import HELD_OUT, read_verdicts, signed
from neardup.benchmarks.index_data import Crowds, cache_folder, data_folder
from neardup.models import edits
from neardup.models.hasher import Hasher
from neardup.models.training import Labelled

COPIES = 6
KINDS = ("photos", "objects")
VERDICTS = Path(edits.__file__).parent / "data" / "verdicts.csv"
_NOBODY = np.empty(0, np.int64)


class Pictures:
    """Signed pictures with their truth. Raises EnvironmentProblem where the data is missing."""

    def __init__(self, hasher: Hasher, seed: int) -> None:
        self.hasher, self._seed = hasher, seed
        crowds = Crowds(hasher, seed)
        vectors, groups = crowds.labelled()
        self.labelled_vectors: npt.NDArray[np.float32] = vectors
        looks = hasher.sign_looks(crowds.labelled_looks())
        nobody = np.zeros_like(groups)
        self.labelled = Labelled(hasher.sign(vectors), looks, groups, nobody, _NOBODY)

    def held_out(self, kind: str) -> Labelled:
        """Held-out pictures of a kind and COPIES edited copies of each."""
        return self._signed(kind, self._part(kind, 0))

    def held_out_files(self, kind: str) -> tuple[list[Path], "Codes"]:
        """The held-out pictures' files, and their codes."""
        embedded = self._part(kind, 0)
        return files_of(embedded, [folder_of(kind)]), Codes.of(self.hasher, embedded)

    def learned(self, kind: str) -> Labelled:
        """As many pictures of a kind that are not held out, to train a peer with."""
        return self._signed(kind, self._part(kind, 1))

    def _signed(self, kind: str, embedded: Embedded) -> Labelled:
        """As for training: what the teacher takes for one picture, or is unsure of, is left out."""
        return signed(self.hasher, embedded, read_verdicts(VERDICTS, embedded, [kind]))

    def _part(self, kind: str, part: int) -> Embedded:
        return embedded_part(self.hasher.embedder, self._seed, kind, part)


class Codes(NamedTuple):
    """Of pictures: signatures uint8 [n, 128] and looks uint8 [n, 24]."""

    signatures: npt.NDArray[np.uint8]
    looks: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, hasher: Hasher, embedded: Embedded) -> "Codes":
        return cls(hasher.sign(embedded.originals), hasher.sign_looks(embedded.original_looks))


@cache
def embedded_part(embedder: str, seed: int, kind: str, part: int) -> Embedded:
    """The pictures of a kind whose name's CRC leaves this rest, and COPIES copies of each."""
    folder = folder_of(kind)
    names = [file.name for file in pictures_of(folder)]
    others = {name for name in names if zlib.crc32(name.encode()) % HELD_OUT != part}
    return embed_folders(
        [folder],
        Recipe(embedder, None, COPIES, seed),
        processes=os.cpu_count() or 1,
        without=others | shown(),
        cache=cache_folder() / "embeddings",
    )


def folder_of(kind: str) -> Path:
    """Where the pictures of a kind lie."""
    return data_folder() / {"photos": "photos/images", "objects": "objects"}[kind]


def shown() -> set[str]:
    """Names of the demo's photos: no training saw them, and they are not counted here."""
    return set((Path(edits.__file__).parent / "data" / "heldout_photos.txt").read_text().split())
