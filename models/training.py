"""Pairs of known truth, from edited copies of pictures.

Pairs of one source are true; pairs of two sources are false, unless their pictures are so alike
that nobody knows (``doubtful_pairs``): those are left out of everything.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.models.classifier import BITS
from neardup.models.looks import Looks

Int64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Signatures = npt.NDArray[np.uint8]

ALIKE, ALIKE_BITS = 0.9, 290
REACH = 400  # bits; beyond it a copy is lost to everything before the classifier as well
HARD_QUERIES, RANDOM_PAIRS = 12_000, 60_000


@dataclass(frozen=True)
class Labelled:
    """Signatures uint8 [n, 128] and looks uint8 [n, 24] with the picture that each was made from.

    ``source`` int64 [n]; ``edits`` int64 [n]: edits made, 0 for the picture itself; ``doubtful``
    int64: keys (``pair_keys``) of pairs of pictures so alike that nobody knows if they are one.
    """

    signatures: Signatures
    looks: Looks
    source: Int64
    edits: Int64
    doubtful: Int64

    def take(self, keep: npt.NDArray[Any]) -> "Labelled":
        return Labelled(
            self.signatures[keep],
            self.looks[keep],
            self.source[keep],
            self.edits[keep],
            self.doubtful,
        )


class Pairs(NamedTuple):
    """Pairs of rows: ``left``, ``right`` int64 [n]; ``same`` bool [n]: of one source."""

    left: Int64
    right: Int64
    same: npt.NDArray[np.bool_]

    def take(self, keep: npt.NDArray[Any]) -> "Pairs":
        return Pairs(self.left[keep], self.right[keep], self.same[keep])


def join_pairs(*parts: Pairs) -> Pairs:
    """All pairs of the parts, one part after the other."""
    return Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def true_pairs(source: Int64) -> Pairs:
    """Every pair of rows with one source; ``source`` int64 [n]."""
    order = np.argsort(source, kind="stable")
    starts = np.flatnonzero(np.diff(source[order], prepend=source[order[0]] - 1))
    groups = np.split(order, starts[1:])
    pairs = [np.array(np.triu_indices(len(rows), 1)) for rows in groups]
    left = np.concatenate([rows[pair[0]] for rows, pair in zip(groups, pairs, strict=True)])
    right = np.concatenate([rows[pair[1]] for rows, pair in zip(groups, pairs, strict=True)])
    return Pairs(left, right, np.ones(len(left), np.bool_))


def training_pairs(labelled: Labelled, seed: int) -> Pairs:
    """True pairs within REACH, the hardest false ones, and false ones drawn by chance."""
    true = true_pairs(labelled.source)
    near = hamming_of(labelled.signatures, true) <= REACH
    hard = hard_negatives(labelled, nearest=8, queries=HARD_QUERIES, seed=seed)
    return join_pairs(true.take(near), hard, random_negatives(labelled, RANDOM_PAIRS, seed))


def hard_negatives(labelled: Labelled, *, nearest: int, queries: int, seed: int) -> Pairs:
    """The ``nearest`` rows of other pictures for each of ``queries`` rows drawn by chance."""
    rng = np.random.default_rng(seed)
    source, signatures = labelled.source, labelled.signatures
    chosen = np.sort(rng.choice(len(source), min(queries, len(source)), replace=False))
    depth = min(2 * nearest, len(source) - 1)
    lefts, rights = [], []
    for rows in np.array_split(chosen, len(chosen) // 512 + 1):
        distance = hamming_table(signatures[rows], signatures)
        distance[source[rows][:, None] == source[None, :]] = BITS + 1
        found = np.argpartition(distance, depth, axis=1)[:, :depth]
        nearness = np.take_along_axis(distance, found, axis=1)
        found = np.take_along_axis(found, np.argsort(nearness, axis=1, kind="stable"), axis=1)
        clear = ~np.isin(pair_keys(source[rows][:, None], source[found]), labelled.doubtful)
        clear &= source[rows][:, None] != source[found]
        kept = clear & (np.cumsum(clear, axis=1) <= nearest)
        lefts.append(np.repeat(rows, kept.sum(axis=1)))
        rights.append(found[kept])
    left, right = np.concatenate(lefts), np.concatenate(rights)
    return Pairs(left, right, np.zeros(len(left), np.bool_))


def random_negatives(labelled: Labelled, count: int, seed: int) -> Pairs:
    """About ``count`` pairs of rows of different pictures, drawn by chance."""
    rng = np.random.default_rng(seed)
    source = labelled.source
    left, right = rng.integers(0, len(source), (2, count))
    keys = pair_keys(source[left], source[right])
    kept = (source[left] != source[right]) & ~np.isin(keys, labelled.doubtful)
    return Pairs(left[kept], right[kept], np.zeros(int(kept.sum()), np.bool_))


def pairs_within(labelled: Labelled, radius: int) -> Pairs:
    """All pairs of rows at most ``radius`` bits apart, but for the doubtful ones."""
    signatures, source = labelled.signatures, labelled.source
    lefts, rights = [], []
    for start in range(0, len(signatures), 512):
        table = hamming_table(signatures[start : start + 512], signatures[start:])
        left, right = np.nonzero(np.triu(table <= radius, 1))
        lefts.append(left + start)
        rights.append(right + start)
    left, right = np.concatenate(lefts), np.concatenate(rights)
    same = source[left] == source[right]
    clear = same | ~np.isin(pair_keys(source[left], source[right]), labelled.doubtful)
    return Pairs(left[clear], right[clear], same[clear])


def doubtful_pairs(vectors: Floats, signatures: Signatures) -> Int64:
    """Keys of pairs of pictures that may be one, from vectors float32 [n, d] and signatures.

    Collections hold bursts, re-uploads and recoloured copies that nobody labelled. Of pictures
    within ALIKE_BITS or above the cosine ALIKE most are such.
    """
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    keys = []
    for start in range(0, len(unit), 1024):
        rows = slice(start, start + 1024)
        near = hamming_table(signatures[rows], signatures) <= ALIKE_BITS
        left, right = np.nonzero(near | (unit[rows] @ unit.T > ALIKE))
        keys.append(pair_keys(left + start, right))
    return np.unique(np.concatenate(keys))


def pair_keys(left: Int64, right: Int64) -> Int64:
    """One number for an unordered pair of sources below 2^31."""
    keys: Int64 = (np.minimum(left, right) << 32) | np.maximum(left, right)
    return keys


def hamming_table(left: Signatures, right: Signatures) -> npt.NDArray[np.int32]:
    """Distances int32 [m, n] of packed signatures, by one product of signs."""
    signs = [2 * np.unpackbits(side, axis=1).astype(np.float32) - 1 for side in (left, right)]
    table: npt.NDArray[np.int32] = ((BITS - signs[0] @ signs[1].T) / 2).astype(np.int32)
    return table


def hamming_of(signatures: Signatures, pairs: Pairs) -> Int64:
    """Distances int64 [n] of the pairs."""
    differing = signatures[pairs.left] ^ signatures[pairs.right]
    distances: Int64 = np.bitwise_count(differing).sum(axis=1, dtype=np.int64)
    return distances
