"""Links that the search missed, inside a component where every pair can be looked at.

The index finds 99 of 100 links. A pin's others are among its nearest older companions: as many as
the stream keeps candidates of a pin, within the classifier's radius.
"""

import numba as nb
import numpy as np
import numpy.typing as npt

from neardup.clusters.ascending import among
from neardup.clusters.evidence import Links, Signatures, Words
from neardup.index.hamming import row_distance, words

Int64 = npt.NDArray[np.int64]


def missed_pairs(
    signatures: Signatures, pieces: Int64, links: Links, radius: int, most: int
) -> tuple[Int64, Int64]:
    """Pairs (newer, older) of one piece that may be links and are not, int64 [m] each.

    ``signatures`` uint8 [n, 128] in the order of age; ``pieces`` int64 [n]: a label per pin. For
    each pin the ``most`` nearest older ones of its piece, at most ``radius`` bits apart. All pairs
    of a piece are looked at, so pieces are to be small.
    """
    order = np.argsort(pieces, kind="stable")
    _, sizes = np.unique(pieces, return_counts=True)
    begins = np.append(0, np.cumsum(sizes))
    newer, older = _nearest(words(signatures), order, begins, radius, most)
    known = np.sort(_keys(links.left, links.right, len(pieces)))
    new = ~among(known, _keys(newer, older, len(pieces)))
    return newer[new], older[new]


def _keys(left: Int64, right: Int64, n: int) -> Int64:
    keys: Int64 = np.maximum(left, right) * n + np.minimum(left, right)
    return keys


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _nearest(
    signatures: Words, order: Int64, begins: Int64, radius: int, most: int
) -> tuple[Int64, Int64]:
    newer, older = np.empty(1024, np.int64), np.empty(1024, np.int64)
    bits = np.empty(np.max(np.diff(begins)) if len(begins) > 1 else 0, np.int64)
    near = np.empty_like(bits)
    size = 0
    for piece in range(len(begins) - 1):
        for i in range(begins[piece] + 1, begins[piece + 1]):
            found = 0
            for j in range(begins[piece], i):
                distance = np.int64(row_distance(signatures[order[i]], signatures[order[j]]))
                if distance <= radius:
                    near[found], bits[found] = order[j], distance
                    found += 1
            while size + most > len(newer):
                newer, older = _wider(newer), _wider(older)
            kept = np.arange(found)
            if found > most:
                kept = np.argsort(bits[:found], kind="mergesort")[:most]
            for k in kept:
                newer[size], older[size] = order[i], near[k]
                size += 1
    return newer[:size], older[:size]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _wider(column: Int64) -> Int64:
    wider = np.empty(2 * len(column), column.dtype)
    wider[: len(column)] = column
    return wider
