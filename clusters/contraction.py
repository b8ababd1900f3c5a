"""Greedy additive edge contraction: from single pins upwards (Keuper and others 2015).

The two parts with the most evidence between them become one, as long as there is any. Each part
knows its best partner, so a step is O(n) and n pins take O(n^2) unless partners are lost often.
"""

import numba as nb
import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]

_NEVER = np.iinfo(np.int64).min


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def contract(weights: Int64, labels: Int64) -> Int64:
    """Labels after joining parts of ``labels`` int64 [n], each named by one of its pins.

    ``weights`` int64 [n, n], symmetric; the diagonal is not read. A joined part has the lower name.
    """
    n = len(weights)
    between = _between(weights, labels)
    names = np.unique(labels)
    partner = np.full(n, -1)
    for name in names:
        partner[name] = np.argmax(between[name])
    while True:
        one = -1
        for name in names:
            if partner[name] >= 0 and (
                one < 0 or between[name, partner[name]] > between[one, partner[one]]
            ):
                one = name
        if one < 0 or between[one, partner[one]] <= 0:
            return labels
        keep, gone = min(one, partner[one]), max(one, partner[one])
        labels = np.where(labels == gone, keep, labels)
        partner[gone] = -1
        _absorb(between, partner, names, keep, gone)


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _between(weights: Int64, labels: Int64) -> Int64:
    """Summed weights between parts, by their names; _NEVER where there is no such pair."""
    n = len(weights)
    between = np.full((n, n), _NEVER)
    for one in np.unique(labels):
        for other in np.unique(labels):
            if one != other:
                between[one, other] = 0
    for i in range(n):
        for j in range(n):
            if labels[i] != labels[j]:
                between[labels[i], labels[j]] += weights[i, j]
    return between


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _absorb(between: Int64, partner: Int64, names: Int64, keep: int, gone: int) -> None:
    for name in names:
        if partner[name] >= 0 and name != keep:
            between[keep, name] += between[gone, name]
            between[name, keep] = between[keep, name]
        between[name, gone] = between[gone, name] = _NEVER
    for name in names:
        if partner[name] >= 0:
            if name == keep or partner[name] == keep or partner[name] == gone:
                partner[name] = np.argmax(between[name])
            elif between[name, keep] > between[name, partner[name]]:
                partner[name] = keep
