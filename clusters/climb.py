"""From a partition to a better one, until nothing raises the sum of evidence inside parts.

Three steps take turns: pins move, parts are joined, parts are cut in two. Joining undoes what
cutting should not have done, and moving repairs the edge of a cut. There are two climbs, from parts
joined greedily and from single pins, and the better end is taken: neither is always the better one.
"""

import numba as nb
import numpy as np
import numpy.typing as npt

from neardup.clusters.bisection import bisect
from neardup.clusters.contraction import contract
from neardup.clusters.moves import unsettle

Int64 = npt.NDArray[np.int64]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def climb(weights: Int64) -> Int64:
    """Labels int64 [n] of a partition that no step improves, each part named by its least pin.

    ``weights`` int64 [n, n], symmetric; the diagonal is not read.
    """
    single = np.arange(len(weights))
    joined: Int64 = _improved(weights, contract(weights, single))
    moved: Int64 = _improved(weights, single)
    return moved if together(weights, moved) > together(weights, joined) else joined


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def together(weights: Int64, labels: Int64) -> np.int64:
    """Summed weight of the pairs that share a label."""
    total = np.int64(0)
    for i in range(len(labels)):
        for j in range(i):
            if labels[i] == labels[j]:
                total += weights[i, j]
    return total


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def divide(weights: Int64, labels: Int64) -> Int64:
    """Labels after cutting parts in two, and their sides again, while that raises the sum."""
    labels = _named(labels)
    for name in range(len(labels)):  # what is cut off has a greater name: it comes later
        while _cut_off(weights, labels, np.flatnonzero(labels == name)):
            pass
    return labels


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _cut_off(weights: Int64, labels: Int64, members: Int64) -> bool:
    """Cut these members in two if that raises the sum; the least keeps the name."""
    inside = np.empty((len(members), len(members)), np.int64)
    contested = False
    for i in range(len(members)):
        for j in range(len(members)):
            inside[i, j] = weights[members[i], members[j]]
            contested |= i != j and inside[i, j] < 0
    if not contested:
        return False
    side, across = bisect(inside)
    if across >= 0:
        return False
    leaving = members[side != side[0]]
    labels[leaving] = leaving[0]
    return True


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _improved(weights: Int64, labels: Int64) -> Int64:
    total = together(weights, labels)
    while True:
        labels = unsettle(weights, labels)
        labels = contract(weights, _named(labels))
        labels = divide(weights, labels)
        better = together(weights, labels)
        if better == total:
            return labels
        total = better


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _named(labels: Int64) -> Int64:
    """The same parts, each named by its least pin; ``labels`` are numbers below n."""
    names = np.full(len(labels), -1)
    named = np.empty(len(labels), np.int64)
    for pin in range(len(labels)):
        if names[labels[pin]] < 0:
            names[labels[pin]] = pin
        named[pin] = names[labels[pin]]
    return named
