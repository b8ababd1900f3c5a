"""Local moves: one pin at a time to the part that it has the most evidence for, or alone.

As in Louvain and Leiden (Blondel 2008, Traag 2019), on the sum of evidence. Each move raises the
sum, so it ends. ``unsettle`` gets past where that ends: it dissolves each part in turn, lets all
pins move, and takes it back unless the sum is greater (ruin and recreate; Schrimpf 2000).
"""

from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]


class Parts(NamedTuple):
    """A partition that changes: parts are numbers below n, of which ``filled`` are not empty."""

    labels: Int64  # [n]
    towards: Int64  # [n, n], the weight of a pin with the pins of a part, itself left out
    size: Int64  # [n]
    names: Int64  # [n], the parts that are not empty, then the empty ones
    place: Int64  # [n], where a part stands in ``names``
    filled: Int64  # [1]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def move(weights: Int64, labels: Int64) -> Int64:
    """Labels int64 [n] (numbers below n) after moves of single pins, until none gains.

    ``weights`` int64 [n, n], symmetric; the diagonal is not read.
    """
    parts: Parts = _parts(weights, labels)
    _settle(weights, parts)
    return parts.labels


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def unsettle(weights: Int64, labels: Int64) -> Int64:
    """Labels after dissolving parts and settling again, until that raises no sum."""
    parts: Parts = _parts(weights, labels)
    _settle(weights, parts)
    rose = True
    while rose:
        rose = False
        for name in np.sort(parts.names[: parts.filled[0]]):
            if parts.size[name] > 1:
                rose |= _try_without(weights, parts, name)
    return parts.labels


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _try_without(weights: Int64, parts: Parts, name: int) -> bool:
    before = parts.labels.copy()
    gain = 0
    for pin in np.flatnonzero(before == name)[1:]:
        gain += _shift(weights, parts, pin, parts.names[parts.filled[0]])
    if gain + _settle(weights, parts) > 0:
        return True
    for pin in range(len(before)):
        if parts.labels[pin] != before[pin]:
            _shift(weights, parts, pin, before[pin])
    return False


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _settle(weights: Int64, parts: Parts) -> np.int64:
    """Move pins until none gains; by how much the sum rose."""
    total, rose = np.int64(0), np.int64(1)
    while rose:
        rose = np.int64(0)
        for pin in range(len(weights)):
            best = _best_part(parts, pin)
            if best != parts.labels[pin]:
                rose += _shift(weights, parts, pin, best)
        total += rose
    return total


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _best_part(parts: Parts, pin: int) -> np.int64:
    """Where a pin has most weight: its own part if no other has more, an empty one has none."""
    best = np.int64(parts.labels[pin])
    most = parts.towards[pin, best]
    if most < 0:
        best, most = np.int64(parts.names[parts.filled[0]]), np.int64(0)
    for name in parts.names[: parts.filled[0]]:
        if parts.towards[pin, name] > most:
            best, most = np.int64(name), parts.towards[pin, name]
    return best


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _shift(weights: Int64, parts: Parts, pin: int, to: int) -> np.int64:
    """Move a pin to another part; by how much the sum rises."""
    own = parts.labels[pin]
    gain = np.int64(parts.towards[pin, to] - parts.towards[pin, own])
    for other in range(len(weights)):
        if other != pin:
            parts.towards[other, own] -= weights[pin, other]
            parts.towards[other, to] += weights[pin, other]
    if parts.size[to] == 0:
        _swap(parts, to, parts.filled[0])
        parts.filled[0] += 1
    parts.labels[pin] = to
    parts.size[to] += 1
    parts.size[own] -= 1
    if parts.size[own] == 0:
        parts.filled[0] -= 1
        _swap(parts, own, parts.filled[0])
    return gain


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _swap(parts: Parts, name: int, place: int) -> None:
    """Put a part at a place of ``names``, and what stood there in its place."""
    other, own = parts.names[place], parts.place[name]
    parts.names[own], parts.names[place] = other, name
    parts.place[other], parts.place[name] = own, place


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _parts(weights: Int64, labels: Int64) -> Parts:
    n = len(weights)
    size = np.bincount(labels, minlength=n)
    names = np.concatenate((np.flatnonzero(size > 0), np.flatnonzero(size == 0)))
    towards = np.zeros((n, n), np.int64)
    for pin in range(n):
        for other in range(n):
            if other != pin:
                towards[pin, labels[other]] += weights[pin, other]
    filled = np.array([(size > 0).sum()])
    return Parts(labels.copy(), towards, size, names, np.argsort(names), filled)
