"""From pictures to a teacher: pairs of known truth, a decision tree, and its own figures.

Copies of one picture are the same. Two pictures are not, unless a tree learned from all pairs says
so all the same: collections hold bursts, re-uploads and recoloured copies that nobody labelled.
Such natural duplicates are mined out, and a second tree is learned without them.
"""

import zlib
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from neardup.batch.pictures import random_edits
from neardup.batch.processes import each
from neardup.models.comparison import FEATURES, compare
from neardup.models.edits import edit
from neardup.models.images import decode
from neardup.models.local_features import LocalFeatures, local_features
from neardup.models.teacher import TAKEN, TREE, Teacher
from neardup.models.training import pair_keys
from neardup.schemas.errors import ArtifactError

DEPTH, LEAF = 4, 10  # levels of the tree; pairs that a leaf holds at least
COPIES, ALIKE = 3, 2
# The tree may not call a pair less alike for more inliers, nor more alike for a worse residual.
DIRECTION = {
    **dict.fromkeys(("inliers", "inlier_ratio", "overlap", "spread"), 1),
    **dict.fromkeys(("correlation", "agreement"), 1),
    **dict.fromkeys(("residual", "stretch", "scale"), -1),
}  # in no direction: the number of keypoints, which the tree is not shown
SHOWN = FEATURES[:-1]
DECORATIONS = ("caption", "meme", "screenshot", "overlay", "emoji")

Booleans = npt.NDArray[np.bool_]
Int64 = npt.NDArray[np.int64]


class KnownPairs(NamedTuple):
    """Pairs whose truth is known: ``features`` float64 [n, 10], ``same`` bool [n].

    ``left``, ``right`` int64 [n]: the pictures that the two sides were made from; ``edits`` [n]:
    what was done to them; ``originals`` bool [n]: nothing was.
    """

    features: npt.NDArray[np.float64]
    same: Booleans
    left: Int64
    right: Int64
    edits: list[str]
    originals: Booleans

    def take(self, keep: Booleans) -> "KnownPairs":
        kept = np.flatnonzero(keep)
        return KnownPairs(
            self.features[kept],
            self.same[kept],
            self.left[kept],
            self.right[kept],
            [self.edits[i] for i in kept],
            self.originals[kept],
        )


def teach(pairs: KnownPairs) -> Teacher:
    """The tree learned from ``pairs`` without the natural duplicates among the false ones.

    Raises ArtifactError if there are no true or no false pairs. Loads scikit-learn.
    """
    first = fit_tree(pairs.features, pairs.same)
    kept = pairs.take(~natural(first, pairs))
    return fit_tree(kept.features, kept.same)


def natural(teacher: Teacher, pairs: KnownPairs) -> Booleans:
    """Which false pairs are of two pictures that the teacher takes for one, bool [n]."""
    alike = pairs.originals & ~pairs.same & (teacher.probability(pairs.features) >= TAKEN)
    keys = pair_keys(pairs.left, pairs.right)
    return ~pairs.same & np.isin(keys, keys[alike])


def fit_tree(features: npt.NDArray[np.float64], same: Booleans) -> Teacher:
    """scikit-learn's tree as plain arrays."""
    from sklearn.tree import DecisionTreeClassifier

    if same.all() or not same.any():
        raise ArtifactError(
            f"All of {len(same)} pairs are {'the same' if same.any() else 'other'} pictures, so "
            "there is nothing to tell apart: give --images at least a dozen different photos."
        )
    leaf = min(LEAF, max(1, len(same) // 20))
    fitted = DecisionTreeClassifier(
        max_depth=DEPTH,
        min_samples_leaf=leaf,
        monotonic_cst=[DIRECTION[name] for name in SHOWN],
        random_state=0,
    )
    tree = fitted.fit(features[:, : len(SHOWN)], same).tree_
    arrays: dict[str, Any] = {
        "feature": np.maximum(tree.feature, -1),
        "limit": np.where(tree.feature >= 0, tree.threshold, 0),
        "left": tree.children_left,
        "right": tree.children_right,
        "share": tree.value[:, 0, 1],
    }
    return Teacher.from_arrays({name: arrays[name].astype(TREE[name]) for name in TREE})


def figures(
    teacher: Teacher, pairs: KnownPairs, duplicates: Collection[frozenset[int]] = ()
) -> dict[str, Any]:
    """Precision and recall over ``pairs``; ``duplicates``: pairs of pictures known to be one."""
    known = {int(key) for left, right in map(sorted, duplicates) for key in [left << 32 | right]}
    clean = pairs.take(pairs.same | ~np.isin(pair_keys(pairs.left, pairs.right), list(known)))
    share = teacher.probability(clean.features)
    said, same = share >= TAKEN, clean.same
    unsure = np.array([word == "unsure" for word in teacher.verdicts(clean.features)])
    return {
        "true_pairs": int(same.sum()),
        "false_pairs": int((~same).sum()),
        "natural_duplicates": len(pairs.same) - len(same),
        "precision": round(float((said & same).sum() / max(1, said.sum())), 4),
        "recall": round(float((said & same).sum() / max(1, same.sum())), 4),
        "unsure": round(float(unsure.mean()), 4),
    }


def known_pairs(
    files: Sequence[Path],
    signatures: npt.NDArray[np.uint8],
    *,
    sources: int,
    seed: int = 1,
    processes: int = 1,
) -> KnownPairs:
    """Pairs from ``sources`` pictures drawn by chance, edited copies, and look-alikes of them.

    ``signatures`` uint8 [n, 128] of the n ``files``: the nearest others are the look-alikes.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(files), min(sources, len(files)), replace=False))
    tasks = []
    for source in chosen:
        distance = np.bitwise_count(signatures ^ signatures[source]).sum(axis=1, dtype=np.int64)
        distance[source] = np.iinfo(np.int64).max
        alike = np.argsort(distance, kind="stable")[: min(ALIKE, len(files) - 1)]
        tasks.append([(int(i), files[i]) for i in (source, *alike)])
    made = each(partial(_pairs_of, seed), tasks, processes, chunk=4)
    bar = tqdm(made, total=len(tasks), unit="picture", desc="compare")
    rows = [row for found in bar for row in found]
    return KnownPairs(
        np.array([row[0] for row in rows]).reshape(-1, len(FEATURES)),
        np.array([row[1] for row in rows], np.bool_),
        np.array([row[2] for row in rows], np.int64),
        np.array([row[3] for row in rows], np.int64),
        [row[4] for row in rows],
        np.array([row[4] == "" for row in rows], np.bool_),
    )


_Row = tuple[npt.NDArray[np.float64], bool, int, int, str]


def _pairs_of(seed: int, pictures: list[tuple[int, Path]]) -> list[_Row]:
    """The pairs of one source (first) and its look-alikes."""
    source, path = pictures[0]
    image = decode(path.read_bytes())
    rng = np.random.default_rng([seed, zlib.crc32(path.name.encode())])
    here, rows = local_features(image), []
    copies = [random_edits(image, rng) for _ in range(COPIES)]
    looks = [local_features(copy) for copy, _ in copies]
    sides: list[tuple[LocalFeatures, LocalFeatures, int, str]] = [
        (look, here, source, name) for look, (_, name) in zip(looks, copies, strict=True)
    ]
    sides.append((looks[0], looks[1], source, f"{copies[0][1]} | {copies[1][1]}"))
    for at, (other, file) in enumerate(pictures[1:]):
        stranger = decode(file.read_bytes())
        there = local_features(stranger)
        sides.append((here, there, other, ""))
        sides.append((looks[at % COPIES], there, other, copies[at % COPIES][1]))
        if at == 0:
            sides.append((*_decorated(image, stranger, rng), other, "decorated alike"))
    for left, right, other, name in sides:
        rows.append((compare(left, right).features, other == source, source, other, name))
    return rows


def _decorated(
    left: Image.Image, right: Image.Image, rng: np.random.Generator
) -> tuple[LocalFeatures, LocalFeatures]:
    """Both pictures with the same words or sticker: what they share is not the picture."""
    name, seed = str(rng.choice(DECORATIONS)), int(rng.integers(2**32))
    strength = float(rng.random())
    sides = (edit(side, name, strength, np.random.default_rng(seed)) for side in (left, right))
    first, second = (local_features(side) for side in sides)
    return first, second
