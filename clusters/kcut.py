"""The nightly k-cut of one component: cut while a cut raises the summed evidence.

Which cut is tried: every "cut of the phase" that the minimum-cut algorithm of Stoer and Wagner
(1997) passes through on the positive evidence, and among them the one across which the *signed*
evidence is least. It is made if that evidence is negative, and both sides are cut further. With
no negative evidence anywhere nothing is cut; a piece whose positive evidence is not connected
always is.
"""

import numba as nb
import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def cut(weights: Weights) -> Labels:
    """Parts of a component: for each of its n pins the least index of its part, int64 [n].

    ``weights`` float64 [n, n]: log-odds of every pair, symmetric; the diagonal is not read.
    Time O(n^3) a cut, memory 3 n^2 float64.
    """
    n = len(weights)
    labels = np.zeros(n, np.int64)
    pieces = [np.arange(n)] if n else []
    while pieces:
        piece = pieces.pop()
        side, evidence = _best_cut(np.ascontiguousarray(weights[np.ix_(piece, piece)]))
        if evidence < 0:
            pieces += [piece[side], piece[~side]]
        else:
            labels[piece] = piece.min()
    return labels


def objective(weights: Weights, labels: Labels) -> float:
    """Summed evidence of the pairs that share a label."""
    together = labels[:, None] == labels[None, :]
    return float(np.triu(np.where(together, weights, 0.0), 1).sum())


def medoid(weights: Weights, members: Labels) -> int:
    """The member with the most evidence towards the others; of equal ones the least index."""
    inside = weights[np.ix_(members, members)].copy()
    np.fill_diagonal(inside, 0.0)
    return int(members[np.argmax(inside.sum(axis=1))])


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _best_cut(weights: Weights) -> tuple[npt.NDArray[np.bool_], float]:
    """The side (True) and the signed evidence of the best cut of a phase; +inf if n < 2."""
    n = len(weights)
    signed = weights.copy()
    positive = np.maximum(weights, 0.0)
    for i in range(n):
        signed[i, i] = positive[i, i] = 0.0
    merged = np.eye(n) > 0  # merged[v]: the original pins that vertex v stands for
    alive = np.ones(n, np.bool_)
    best, best_side = np.inf, np.zeros(n, np.bool_)
    for phase in range(n - 1):
        last, before = _phase(positive, alive, n - phase)
        crossing = 0.0
        for v in range(n):
            if alive[v]:
                crossing += signed[last, v]
        if crossing < best:
            best, best_side = crossing, merged[last].copy()
        for v in range(n):
            positive[before, v] += positive[last, v]
            signed[before, v] += signed[last, v]
            positive[v, before], signed[v, before] = positive[before, v], signed[before, v]
            merged[before, v] |= merged[last, v]
        positive[before, before] = signed[before, before] = 0.0
        alive[last] = False
    return best_side, best


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _phase(positive: Weights, alive: npt.NDArray[np.bool_], size: int) -> tuple[int, int]:
    """The last two vertices in maximum adjacency order."""
    n = len(positive)
    reached = ~alive
    pull = np.zeros(n)
    last, before = -1, -1
    for _ in range(size):
        nearest = -1
        for v in range(n):
            if not reached[v] and (nearest < 0 or pull[v] > pull[nearest]):
                nearest = v
        reached[nearest] = True
        before, last = last, nearest
        pull += positive[nearest]
    return last, before
