"""Pairs for pairs that nobody made: natural near-duplicates and look-alikes, by the teacher.

Edited copies show what our own edits do. Collections hold the rest: bursts, re-uploads, two scans
of one picture, and pictures that only look alike. Candidates are nearest neighbours by Hamming.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from neardup.batch.pictures import Recipe, embed_folders, files_of
from neardup.batch.processes import each
from neardup.index.hamming import pairs_within_batch
from neardup.models.comparison import FEATURES, compare
from neardup.models.hasher import Hasher
from neardup.models.images import decode
from neardup.models.local_features import LocalFeatures, local_features
from neardup.models.teacher import Teacher

RADIUS, NEAREST, LIMIT = 400, 3, 12_000

Int64 = npt.NDArray[np.int64]
Signatures = npt.NDArray[np.uint8]


class MinedPairs(NamedTuple):
    """Pairs of pictures as the teacher sees them, nearest by Hamming first.

    ``left`` < ``right`` int64 [n]: rows of the pictures; ``hamming`` int64 [n]: differing bits;
    ``features`` float64 [n, 10] (see ``models/comparison.py``); ``verdict`` [n]: same, other or
    unsure.
    """

    left: Int64
    right: Int64
    hamming: Int64
    features: npt.NDArray[np.float64]
    verdict: npt.NDArray[np.str_]


def mine_pairs(
    files: Sequence[Path],
    signatures: Signatures,
    teacher: Teacher,
    *,
    radius: int = RADIUS,
    nearest: int = NEAREST,
    limit: int = LIMIT,
    processes: int = 1,
) -> MinedPairs:
    """Look at the nearest pairs among n pictures, at most ``limit`` of them.

    ``files``: the n pictures, readable ones; ``signatures`` uint8 [n, 128]. Each picture is paired
    with its ``nearest`` others within ``radius`` bits. Costs about 40 ms a picture and 2 a pair.
    """
    left, right, hamming = candidates(signatures, radius, nearest, limit)
    looked = features_of(files, np.unique(np.concatenate([left, right])), processes)
    table = features_between(looked, left, right)
    return MinedPairs(left, right, hamming, table, np.array(teacher.verdicts(table), np.str_))


def candidates(
    signatures: Signatures, radius: int, nearest: int, limit: int
) -> tuple[Int64, Int64, Int64]:
    """Each row with its ``nearest`` others within ``radius`` bits; the ``limit`` nearest pairs.

    ``left`` < ``right`` and their distance, int64 [m] each, by distance, then by row.
    """
    right, left, distance = (
        column.astype(np.int64) for column in pairs_within_batch(signatures, radius)
    )
    near = _rank(left, right, distance) < nearest
    pair = np.flatnonzero(near[: len(left)] | near[len(left) :])
    chosen = pair[np.lexsort((right[pair], left[pair], distance[pair]))][:limit]
    return left[chosen], right[chosen], distance[chosen]


def _rank(left: Int64, right: Int64, distance: Int64) -> Int64:
    """The place of each pair among its left picture's, then among its right one's; from 0."""
    picture, other = np.concatenate([left, right]), np.concatenate([right, left])
    order = np.lexsort((other, np.tile(distance, 2), picture))
    starts = np.flatnonzero(np.diff(picture[order], prepend=-1))
    counts = np.diff(np.append(starts, len(order)))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(starts, counts)
    return rank


def features_of(files: Sequence[Path], rows: Int64, processes: int = 1) -> dict[int, LocalFeatures]:
    """Local features of some of the files, by their row; about 45 kB each."""
    paths = [files[row] for row in rows]
    looked = each(_features, paths, processes, chunk=16)
    found = tqdm(looked, total=len(paths), unit="picture", desc="look")
    return dict(zip(rows.tolist(), found, strict=True))


def features_between(
    looked: Mapping[int, LocalFeatures], left: Int64, right: Int64
) -> npt.NDArray[np.float64]:
    """The features float64 [n, 10] of pairs of rows, int64 [n] each, from ``features_of``."""
    pairs = tqdm(zip(left.tolist(), right.tolist(), strict=True), total=len(left), desc="compare")
    found = [compare(looked[i], looked[j]).features for i, j in pairs]
    return np.array(found, np.float64).reshape(-1, len(FEATURES))


def mine_folder(
    folder: Path, hasher: Hasher, teacher: Teacher, weights: Path | None = None, processes: int = 1
) -> tuple[MinedPairs, list[str]]:
    """The pairs of the pictures below a folder, and the pictures' names.

    ``weights``: of the hasher's embedder, if it needs some. Raises SettingsError if there is none.
    """
    recipe = Recipe(hasher.embedder, weights, 0, 0)
    embedded = embed_folders([folder], recipe, processes=processes)
    files = files_of(embedded, [folder])
    signatures = hasher.sign(embedded.originals)
    return mine_pairs(files, signatures, teacher, processes=processes), embedded.names


def write_mined(path: Path, mined: Mapping[str, tuple[MinedPairs, Sequence[str]]]) -> None:
    """A CSV with a row a pair: folder, left, right, label, hamming and the features.

    ``mined``: pairs and names by the name of their folder.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["folder", "left", "right", "label", "hamming", *FEATURES])
        for folder, (pairs, names) in mined.items():
            for left, right, hamming, features, verdict in zip(*pairs, strict=True):
                numbers = [f"{value:.4g}" for value in features]
                row = [folder, names[left], names[right], verdict, hamming, *numbers]
                table.writerow(row)


def _features(path: Path) -> LocalFeatures:
    return local_features(decode(path.read_bytes()))
