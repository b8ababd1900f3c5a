"""The worst false pairs among pictures that nobody paired, as one picture to look at.

What the classifier reports among them holds natural duplicates. The teacher says which: pairs that
it takes for the same picture are no errors, and are only counted. The picture in the docs:
``python -m neardup.benchmarks.classifier_worst docs/worst_pairs.jpg``.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from neardup.batch.mine import features_between, features_of
from neardup.batch.pictures import Recipe, embed_folders, files_of
from neardup.benchmarks.classifier_data import KINDS, Codes, folder_of
from neardup.index.hamming import pairs_within_batch
from neardup.models.classifier import Classifier, judged_numpy
from neardup.models.hasher import Hasher
from neardup.models.images import decode
from neardup.models.teacher import Teacher

WORST = 50
SIDE_PX, ACROSS, LINE_PX = 84, 5, 13

Int64 = npt.NDArray[np.int64]


class Reported(NamedTuple):
    """Pairs of n pictures that a classifier reports, highest score first.

    ``left``, ``right`` int64 [m]: rows of the pictures; ``score`` float32 [m]; ``verdict`` [m]: the
    teacher's; ``comparisons``: all pairs of the pictures.
    """

    left: Int64
    right: Int64
    score: npt.NDArray[np.float32]
    verdict: npt.NDArray[np.str_]
    comparisons: int

    @property
    def false(self) -> npt.NDArray[np.bool_]:
        """Those that the teacher does not take for one picture."""
        false: npt.NDArray[np.bool_] = self.verdict != "same"
        return false

    @property
    def false_per_million(self) -> float:
        return 1e6 * float(self.false.sum()) / max(1, self.comparisons)


def reported(
    files: Sequence[Path],
    codes: Codes,
    classifier: Classifier,
    teacher: Teacher,
    processes: int = 1,
) -> Reported:
    """All pairs at or above the threshold among ``files``, which have these codes."""
    right, left, _ = (
        column.astype(np.int64)
        for column in pairs_within_batch(codes.signatures, classifier.radius)
    )
    sides = (code[side] for code in codes for side in (left, right))
    scores = judged_numpy(classifier, *sides)
    found = np.flatnonzero(scores >= classifier.threshold)
    found = found[np.argsort(-scores[found], kind="stable")]
    left, right = left[found], right[found]
    seen = features_of(files, np.unique(np.concatenate([left, right])), processes)
    verdict = np.array(teacher.verdicts(features_between(seen, left, right)), np.str_)
    n = len(codes.signatures)
    return Reported(left, right, scores[found], verdict, n * (n - 1) // 2)


def sheet(files: Sequence[Path], pairs: Reported, worst: int = WORST) -> Image.Image:
    """The false pairs of the highest scores, side by side, each with its score."""
    chosen = np.flatnonzero(pairs.false)[:worst]
    cell, down = 2 * SIDE_PX + 6, SIDE_PX + LINE_PX + 3
    rows = max(1, -(-len(chosen) // ACROSS))
    canvas = Image.new("RGB", (ACROSS * cell, rows * down), (255, 255, 255))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(10)
    for place, pair in enumerate(chosen):
        x, y = place % ACROSS * cell, place // ACROSS * down
        words = f"{pairs.score[pair]:.1f}  {pairs.verdict[pair]}"
        pen.text((x + 2, y), words, (30, 30, 30), font)
        for side, row in enumerate((pairs.left[pair], pairs.right[pair])):
            image = decode(files[row].read_bytes())
            image.thumbnail((SIDE_PX, SIDE_PX))
            canvas.paste(image, (x + side * (SIDE_PX + 1), y + LINE_PX))
    return canvas


def draw_worst(path: Path, processes: int = 1) -> list[tuple[str, int, Reported]]:
    """Write the sheet for all pictures of all kinds, with the bundled models, to ``path`` (JPEG).

    Returns per kind its name, the number of pictures and what is reported inside it.
    """
    hasher, classifier, teacher = Hasher.load(), Classifier.load(), Teacher.load()
    parts, files, every = [], [], []
    for kind in KINDS:
        recipe = Recipe(hasher.embedder, None, 0, 0)
        embedded = embed_folders([folder_of(kind)], recipe, processes=processes)
        own = files_of(embedded, [folder_of(kind)])
        codes = Codes.of(hasher, embedded)
        found = reported(own, codes, classifier, teacher, processes)
        parts.append((kind, len(own), found))
        files += own
        every.append(codes)
    all_codes = Codes(*(np.concatenate(column) for column in zip(*every, strict=True)))
    together = reported(files, all_codes, classifier, teacher, processes)
    sheet(files, together).save(path, "JPEG", quality=72)
    return [*parts, ("together", len(files), together)]


if __name__ == "__main__":
    for kind, n, found in draw_worst(Path(sys.argv[1]), os.cpu_count() or 1):
        counts = {word: int((found.verdict == word).sum()) for word in ("same", "other", "unsure")}
        print(f"{kind}: {n} pictures, {counts}, {found.false_per_million:.1f} false a million")
