"""Where to cut a part in two.

Which cuts are tried: every "cut of the phase" that the minimum-cut algorithm of Stoer and Wagner
(1997) passes through on the positive evidence; the one across which the *signed* evidence is least
is the answer. Without negative evidence it is the minimum cut.
"""

import numba as nb
import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Side = npt.NDArray[np.bool_]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def bisect(weights: Int64) -> tuple[Side, int]:
    """One side (True), bool [n], and the evidence across the best cut of a phase; n >= 2.

    ``weights`` int64 [n, n], symmetric; the diagonal is not read. Time O(n^3).
    """
    n = len(weights)
    signed = weights.copy()
    positive = np.maximum(weights, 0)
    for i in range(n):
        signed[i, i] = positive[i, i] = 0
    merged = np.eye(n) > 0  # merged[v]: the original pins that vertex v stands for
    alive = np.arange(n)
    best, best_side = np.iinfo(np.int64).max, np.zeros(n, np.bool_)
    while len(alive) > 1:
        last, before = _phase(positive, alive)
        alive = alive[alive != last]
        crossing = 0
        for v in alive:
            crossing += signed[last, v]
        if crossing < best:
            best, best_side = crossing, merged[last].copy()
        for v in alive:
            positive[before, v] += positive[last, v]
            signed[before, v] += signed[last, v]
            positive[v, before], signed[v, before] = positive[before, v], signed[before, v]
        merged[before] |= merged[last]
        positive[before, before] = signed[before, before] = 0
    return best_side, best


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _phase(positive: Int64, alive: Int64) -> tuple[int, int]:
    """The last two vertices in maximum adjacency order."""
    waiting = alive.copy()
    pull = np.zeros(len(positive), np.int64)
    last, before = -1, -1
    for size in range(len(waiting), 0, -1):
        at = 0
        for i in range(1, size):
            if pull[waiting[i]] > pull[waiting[at]]:
                at = i
        before, last = last, waiting[at]
        waiting[at] = waiting[size - 1]
        for i in range(size - 1):
            pull[waiting[i]] += positive[last, waiting[i]]
    return last, before
