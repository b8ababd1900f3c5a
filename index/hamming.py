"""Hamming distance by brute force: the memtable's search, and the oracle of every other.

The scan is bound by xor, popcount and add on 64-bit words. Rows are transposed into tiles of 256
(word-major), so that a vector register holds one word of eight rows and no sum across a register
is needed: that is six times as fast as summing row by row. A tile is 32 KiB, the L1 cache.
"""

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from neardup.index.intrinsics import popcount
from neardup.index.store import SIGNATURE_BYTES

Signatures = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]

WORDS = SIGNATURE_BYTES // 8
TILE = 256
"""Rows of a tile."""


class Pairs(NamedTuple):
    """Pairs by row number, with the number of differing bits; int32 arrays of one length."""

    query: Int32
    corpus: Int32
    distance: Int32


def pairs_within(queries: Signatures, corpus: Signatures, radius: int) -> Pairs:
    """Every pair at most ``radius`` bits apart, sorted by (query, corpus).

    ``queries`` uint8 [q, 128], ``corpus`` uint8 [n, 128]. Exact; q * n comparisons.
    """
    return _scan_all(words(queries), words(corpus), radius, False)


def pairs_within_batch(signatures: Signatures, radius: int) -> Pairs:
    """Every pair i > j of ``signatures`` uint8 [n, 128] at most ``radius`` bits apart, once.

    ``query`` is i, the newer one; sorted by (i, j).
    """
    rows = words(signatures)
    return _scan_all(rows, rows, radius, True)


def distances(left: Signatures, right: Signatures) -> Int32:
    """Differing bits of row i of both, int32 [n]; ``left`` and ``right`` uint8 [n, 128]."""
    if len(left) != len(right):
        raise ValueError(f"{len(left)} signatures on the left, {len(right)} on the right")
    out = np.empty(len(left), np.int32)
    _elementwise(words(left), words(right), out)
    return out


def words(signatures: Signatures) -> npt.NDArray[np.uint64]:
    """Signatures uint8 [n, 128] as read-only uint64 [n, 16], without a copy where possible.

    Read-only, so that memory-mapped and ordinary arrays meet the same compiled kernel.
    """
    if signatures.dtype != np.uint8 or signatures.shape[1:] != (SIGNATURE_BYTES,):
        raise ValueError(
            f"signatures must be uint8 [n, {SIGNATURE_BYTES}], not {signatures.dtype} "
            f"{list(signatures.shape)}"
        )
    plain = np.require(np.asarray(signatures), requirements=["C", "A"])
    view = plain.reshape(-1).view(np.uint64).reshape(-1, WORDS)
    view.setflags(write=False)
    return view


def tiles_of(rows: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Rows uint64 [n, 16] as uint64 [-(-n // TILE), 16, TILE]: the last tile ends in zeros."""
    padded = np.zeros((-(-len(rows) // TILE) * TILE, WORDS), np.uint64)
    padded[: len(rows)] = rows
    return np.ascontiguousarray(padded.reshape(-1, TILE, WORDS).transpose(0, 2, 1))


def _scan_all(
    queries: npt.NDArray[np.uint64], corpus: npt.NDArray[np.uint64], radius: int, earlier_only: bool
) -> Pairs:
    n = len(corpus)
    if radius < 0 or not n or not len(queries):
        return Pairs(*(np.empty(0, np.int32) for _ in Pairs._fields))
    found = _scan(queries, tiles_of(corpus), n, np.uint64(radius), earlier_only)
    order = np.argsort(found[0], kind="stable")
    return Pairs(*(column[order] for column in found))


@numba.njit(cache=True, nogil=True, inline="always")
def row_distance(a, b):  # type: ignore[no-untyped-def]
    """Differing bits of two rows uint64 [16]."""
    total = np.uint64(0)
    for w in range(WORDS):
        total += popcount(a[w] ^ b[w])
    return total


@numba.njit(cache=True, nogil=True)
def _elementwise(left, right, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = row_distance(left[i], right[i])


@numba.njit(cache=True, nogil=True)
def grown(column):  # type: ignore[no-untyped-def]
    """A copy with room for twice as many."""
    wider = np.empty(2 * len(column), column.dtype)
    wider[: len(column)] = column
    return wider


@numba.njit(cache=True, nogil=True)
def _scan(queries, tiles, n, radius, earlier_only):  # type: ignore[no-untyped-def]
    distance = np.empty(TILE, np.uint16)
    left, right = np.empty(1024, np.int32), np.empty(1024, np.int32)
    bits = np.empty(1024, np.int32)
    size = 0
    for t in range(len(tiles)):
        begin = t * TILE
        for i in range(begin + 1 if earlier_only else 0, len(queries)):
            if not tile_distances(queries[i], tiles[t], radius, distance):
                continue
            if size + TILE > len(left):
                left, right, bits = grown(left), grown(right), grown(bits)
            end = min(n, i) if earlier_only else n
            for j in range(min(TILE, end - begin)):
                if distance[j] <= radius:
                    left[size], right[size], bits[size] = i, begin + j, distance[j]
                    size += 1
    return left[:size], right[:size], bits[:size]


@numba.njit(cache=True, nogil=True, inline="always")
def tile_distances(q, c, radius, distance):  # type: ignore[no-untyped-def]
    """Distances uint16 [TILE] of one query to a tile; how many are within the radius.

    The sum is written out: only then does LLVM keep the sixteen words of the query in registers
    and vectorise over the rows.
    """
    q0, q1, q2, q3, q4, q5, q6, q7 = q[0], q[1], q[2], q[3], q[4], q[5], q[6], q[7]
    q8, q9, qa, qb, qc, qd, qe, qf = q[8], q[9], q[10], q[11], q[12], q[13], q[14], q[15]
    near = 0
    for j in range(TILE):
        total = popcount(q0 ^ c[0, j]) + popcount(q1 ^ c[1, j])
        total += popcount(q2 ^ c[2, j]) + popcount(q3 ^ c[3, j])
        total += popcount(q4 ^ c[4, j]) + popcount(q5 ^ c[5, j])
        total += popcount(q6 ^ c[6, j]) + popcount(q7 ^ c[7, j])
        total += popcount(q8 ^ c[8, j]) + popcount(q9 ^ c[9, j])
        total += popcount(qa ^ c[10, j]) + popcount(qb ^ c[11, j])
        total += popcount(qc ^ c[12, j]) + popcount(qd ^ c[13, j])
        total += popcount(qe ^ c[14, j]) + popcount(qf ^ c[15, j])
        distance[j] = total
        near += total <= radius
    return near
