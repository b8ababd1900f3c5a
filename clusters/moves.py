"""Local moves: one pin at a time to the part that it has the most evidence for.

As in Louvain and Leiden (Blondel 2008, Traag 2019), on the sum of evidence. Each move raises the
sum, so it ends.
"""

import numba as nb
import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def move(weights: Int64, labels: Int64) -> Int64:
    """Labels int64 [n] (numbers below n) after moves of single pins, until none gains.

    ``weights`` int64 [n, n], symmetric; the diagonal is not read. A pin may also become a part of
    its own.
    """
    n = len(weights)
    labels = labels.copy()
    size = np.bincount(labels, minlength=n)
    towards = np.zeros((n, n), np.int64)  # [pin, part]
    for pin in range(n):
        for other in range(n):
            if other != pin:
                towards[pin, labels[other]] += weights[pin, other]
    moved = True
    while moved:
        moved = False
        for pin in range(n):
            own = labels[pin]
            best = _best_part(towards[pin], size, own)
            if best != own:
                moved = True
                labels[pin] = best
                size[own] -= 1
                size[best] += 1
                for other in range(n):
                    if other != pin:
                        towards[other, own] -= weights[other, pin]
                        towards[other, best] += weights[other, pin]
    return labels


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _best_part(towards: Int64, size: Int64, own: int) -> int:
    """Where a pin has most evidence: its own part if no other has more; an empty one has none."""
    best = own
    for part in range(len(size)):
        alone = size[part] == 0 and size[own] > 1
        if (size[part] or alone) and towards[part] > towards[best]:
            best = part
    return best
