"""A component too large to cut exactly, taken apart at rising thresholds.

At a threshold the component falls into the components of its links of that score and more. Each
piece that is still too large is taken apart at a higher threshold, and no other is. So the pieces
are the largest subtrees of the single-linkage tree that hold at most ``most`` pins.
"""

import numba as nb
import numpy as np
import numpy.typing as npt

from neardup.clusters.evidence import Links

Int64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def loosen(n: int, links: Links, most: int) -> Int64:
    """For each of n pins the least pin of its piece, int64 [n]; no piece has more than ``most``.

    O(m log m) for m links. Links of equal score act at once, so their order changes nothing.
    """
    order = np.argsort(-links.scores, kind="stable")
    roots = _pieces(n, links.left[order], links.right[order], links.scores[order], most)
    _, first, which = np.unique(roots, return_index=True, return_inverse=True)
    pieces: Int64 = first[which]
    return pieces


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _pieces(n: int, left: Int64, right: Int64, scores: Floats, most: int) -> Int64:
    """Union-find by falling score, without path compression, so that a union can be undone.

    A piece that would grow too large is closed: it counts as more than ``most`` from then on, and
    so whatever meets it is closed too.
    """
    parents, size = np.arange(n), np.ones(n, np.int64)
    hung = np.empty(n, np.int64)  # the roots hung under others at this threshold
    begin = 0
    while begin < len(left):
        end, hangs = begin, 0
        while end < len(left) and scores[end] == scores[begin]:
            above, below = _root(parents, left[end]), _root(parents, right[end])
            if above != below:
                if size[below] > size[above]:
                    above, below = below, above
                parents[below] = above
                size[above] += size[below]
                hung[hangs] = below
                hangs += 1
            end += 1
        _close(parents, size, hung[:hangs], most)
        begin = end
    for pin in range(n):
        hung[pin] = _root(parents, pin)
    return hung


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _close(parents: Int64, size: Int64, hung: Int64, most: int) -> None:
    """Undo those unions of a threshold that made pieces too large, and close what they united."""
    too_large = np.array([size[_root(parents, root)] > most for root in hung], np.bool_)
    above = parents[hung]
    for i in range(len(hung) - 1, -1, -1):
        if too_large[i]:
            size[above[i]] -= size[hung[i]]
            parents[hung[i]] = hung[i]
    for i in range(len(hung)):
        if too_large[i]:
            size[hung[i]] = size[above[i]] = most + 1


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _root(parents: Int64, pin: int) -> int:
    while parents[pin] != pin:
        pin = parents[pin]
    return pin
