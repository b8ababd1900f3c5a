"""Pairs for pairs that nobody made: natural near-duplicates and look-alikes, by the teacher.

Edited copies show what our own edits do. Collections hold the rest: bursts, re-uploads, two scans
of one picture, and pictures that only look alike. Candidates are nearest neighbours by Hamming.
"""

import csv
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from neardup.index.hamming import pairs_within_batch
from neardup.models.comparison import FEATURES, compare
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
    pairs = tqdm(zip(left.tolist(), right.tolist(), strict=True), total=len(left), desc="compare")
    features = [compare(looked[i], looked[j]).features for i, j in pairs]
    table = np.array(features).reshape(-1, len(FEATURES))
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
    found = tqdm(_look(paths, processes), total=len(paths), unit="picture", desc="look")
    return dict(zip(rows.tolist(), found, strict=True))


def write_mined(path: Path, mined: MinedPairs, names: Sequence[str]) -> None:
    """A CSV with a row a pair: left, right, label, hamming and the features."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["left", "right", "label", "hamming", *FEATURES])
        for left, right, hamming, features, verdict in zip(*mined, strict=True):
            numbers = [f"{value:.4g}" for value in features]
            table.writerow([names[left], names[right], verdict, hamming, *numbers])


def _look(paths: list[Path], processes: int) -> Iterator[LocalFeatures]:
    if processes == 1:
        yield from map(_features, paths)
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield from pool.map(_features, paths, chunksize=16)


def _features(path: Path) -> LocalFeatures:
    return local_features(decode(path.read_bytes()))
