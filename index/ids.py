"""Pin ids as 128-bit hashes, and the sorted table that finds them.

Hashes stand for ids without a check: among 10 billion ids there are 5 * 10^19 pairs, and two of
them share a 128-bit hash with probability 5 * 10^19 / 2^128 = 1.5 * 10^-19 (birthday bound).
"""

from collections.abc import Sequence
from hashlib import blake2b

import numba
import numpy as np
import numpy.typing as npt

UInt64 = npt.NDArray[np.uint64]


def id_hashes(pin_ids: Sequence[str]) -> UInt64:
    """BLAKE2b-128 of each id in UTF-8, uint64 [n, 2]: the digest as two little-endian words."""
    digests = b"".join(blake2b(pin_id.encode(), digest_size=16).digest() for pin_id in pin_ids)
    return np.frombuffer(digests, "<u8").astype(np.uint64).reshape(-1, 2)


def sort_ids(hashes: UInt64) -> tuple[UInt64, npt.NDArray[np.uint32]]:
    """The hashes uint64 [n, 2] in ascending order, and the row uint32 [n] each came from.

    Rows of equal hashes keep their order.
    """
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))
    return hashes[order], order.astype(np.uint32)


def find_sorted(
    sorted_hashes: UInt64, ordinals: npt.NDArray[np.int64], hashes: UInt64
) -> npt.NDArray[np.int64]:
    """The last ordinal with each of ``hashes`` uint64 [q, 2], int64 [q]; -1 where there is none."""
    out = np.empty(len(hashes), np.int64)
    _find(sorted_hashes, ordinals, np.ascontiguousarray(hashes), out)
    return out


@numba.njit(cache=True, nogil=True)
def _find(table, ordinals, hashes, out):  # type: ignore[no-untyped-def]
    for i in range(len(hashes)):
        high, low = hashes[i, 0], hashes[i, 1]
        begin, end = 0, len(table)
        while begin < end:
            middle = (begin + end) // 2
            if table[middle, 0] > high or (table[middle, 0] == high and table[middle, 1] > low):
                end = middle
            else:
                begin = middle + 1
        found = begin > 0 and table[begin - 1, 0] == high and table[begin - 1, 1] == low
        out[i] = ordinals[begin - 1] if found else -1
