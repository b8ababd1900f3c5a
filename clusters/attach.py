"""Which cluster a pin joins, and which clusters it merges: compiled, on dense arrays.

What bounds the work: a pin's links (``max_links``), SAMPLE members that speak for each cluster
they reach, and the changes themselves (``seats``).
"""

from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from neardup.clusters.columns import Columns, Int64
from neardup.clusters.evidence import Table, Words
from neardup.clusters.seats import leave, merge, start
from neardup.clusters.treap import NOBODY, lowest
from neardup.index.hamming import row_distance

Floats = npt.NDArray[np.float64]

SAMPLE = 256
"""Members of a cluster that speak to a pin; to another cluster fewer, so that at most 32 x 32 pairs
are weighed. Most clusters are smaller, and all members speak. What needs so many is the bound on a
diameter: a pin too far from a twentieth of a cluster would pass 16 speakers in 4 cases of 10,
.95^16, and passes 256 in one of 500,000."""
SIDE = 32


class Witness(NamedTuple):
    """What the kernels need to know to weigh a pair, and what people said."""

    words: Words  # uint64 [n, 16], signatures by ordinal
    table: Table  # evidence by Hamming distance
    trusted: float
    zero: float
    walls: Int64  # [k, 2], pairs that are kept apart
    walled: Int64  # the pins in ``walls``, ascending
    blocked: Int64  # pins that are alone whatever they look like, ascending


class Batch(NamedTuple):
    """A stretch of the log, int64: in row i pin version ``ended[i]`` leaves, then ``started[i]``
    joins with the links ``offsets[i]`` to ``offsets[i + 1]``; NOBODY for neither.

    ``linked`` int64 [m] and ``scores`` float64 [m]: an older pin, and the link's log-odds.
    """

    ended: Int64
    started: Int64
    offsets: Int64
    linked: Int64
    scores: Floats

    def rows(self, begin: int, end: int) -> "Batch":
        """Rows ``begin`` to ``end``, exclusive."""
        rows = slice(begin, end)
        offsets = self.offsets[begin : end + 1]
        return self._replace(ended=self.ended[rows], started=self.started[rows], offsets=offsets)


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def replay(c: Columns, w: Witness, batch: Batch, first_id: int) -> None:
    """Fold a batch. A pin that starts a cluster names it ``first_id | ordinal``.

    A pin that has left cannot leave, and one that is here cannot come: repeats change nothing.
    """
    for i in range(len(batch.started)):
        if batch.ended[i] != NOBODY and c.slot[batch.ended[i]] != NOBODY:
            leave(c, batch.ended[i])
        if batch.started[i] != NOBODY and c.slot[batch.started[i]] == NOBODY:
            begin, end = batch.offsets[i], batch.offsets[i + 1]
            slot = start(c, batch.started[i], first_id | batch.started[i])
            c.walled[slot] = is_among(w.walled, batch.started[i])
            attach(c, w, batch.started[i], batch.linked[begin:end], batch.scores[begin:end])


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def is_among(ordinals: Int64, ordinal: int) -> bool:
    """Whether an ordinal is in an ascending list."""
    at = np.searchsorted(ordinals, ordinal)
    return bool(at < len(ordinals) and ordinals[at] == ordinal)


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def attach(c: Columns, w: Witness, ordinal: int, linked: Int64, scores: Floats) -> None:
    """Join the linked cluster with the most evidence; merge others with it if they agree.

    Clusters are tried by falling evidence, of equal ones the lower id first.
    """
    if is_among(w.blocked, ordinal):
        return
    linked, scores = _trusted(c, w, linked, scores)
    begins, gains = _gains(c, w, ordinal, linked, scores)
    ids = c.cluster_id[c.slot[linked[begins]]]
    for _ in range(len(gains)):
        best = 0
        for g in range(1, len(gains)):
            if gains[g] > gains[best] or (gains[g] == gains[best] and ids[g] < ids[best]):
                best = g
        if not gains[best] > 0:
            return
        other, own = c.slot[linked[begins[best]]], c.slot[ordinal]
        if may_merge(c, w, own, other) and _agree(c, w, ordinal, other, gains[best]):
            merge(c, own, other)
        gains[best] = -np.inf


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _trusted(c: Columns, w: Witness, linked: Int64, scores: Floats) -> tuple[Int64, Floats]:
    """Trusted links to live pins that are not blocked, by (cluster, pin); of a pin the last."""
    keys = np.full(len(linked), -1, np.int64)
    for i in range(len(linked)):
        live = linked[i] < len(c.slot) and c.slot[linked[i]] != NOBODY
        if scores[i] >= w.trusted and live and not is_among(w.blocked, linked[i]):
            keys[i] = np.int64(c.slot[linked[i]]) << 32 | linked[i]
    order = np.argsort(keys, kind="mergesort")
    kept = np.empty(len(order), np.int64)
    n = 0
    for k in range(len(order)):
        last = k + 1 == len(order) or keys[order[k + 1]] != keys[order[k]]
        if last and keys[order[k]] >= 0:
            kept[n] = order[k]
            n += 1
    return linked[kept[:n]], scores[kept[:n]]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _gains(
    c: Columns, w: Witness, ordinal: int, linked: Int64, scores: Floats
) -> tuple[Int64, Floats]:
    """For each linked cluster its first link, and the evidence that the pin belongs to it."""
    begins, gains = np.empty(len(linked), np.int64), np.empty(len(linked), np.float64)
    n, begin = 0, 0
    for end in range(1, len(linked) + 1):
        if end == len(linked) or c.slot[linked[end]] != c.slot[linked[begin]]:
            begins[n] = begin
            slot = c.slot[linked[begin]]
            gains[n] = gain_in(c, w, ordinal, slot, linked[begin:end], scores[begin:end])
            n, begin = n + 1, end
    return begins[:n], gains[:n]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def gain_in(
    c: Columns, w: Witness, ordinal: int, slot: int, linked: Int64, scores: Floats
) -> float:
    """Summed evidence of a pin with all other members of one cluster.

    ``linked``, ascending, are members that it has links to; the others' mean is taken from those
    who speak.
    """
    gain = 0.0
    for score in scores:
        gain += score - w.zero
    heard, said = 0, 0.0
    for member in speakers(c, slot, 1):
        at = np.searchsorted(linked, member)
        if member != ordinal and (at == len(linked) or linked[at] != member):
            heard += 1
            said += w.table[row_distance(w.words[ordinal], w.words[member])]
    if heard:
        itself = 1 if c.slot[ordinal] == slot else 0
        gain += (c.size[slot] - len(linked) - itself) * (said / heard)
    return gain


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _agree(c: Columns, w: Witness, ordinal: int, other: int, gain: float) -> bool:
    """Whether merging the pin's cluster with another raises the objective.

    ``gain`` is what the pin itself brings; its companions speak by the two samples.
    """
    own = c.slot[ordinal]
    pairs = (c.size[own] - 1) * np.float64(c.size[other])
    return bool(gain + pairs * mean_between(c, w, own, other, ordinal) > 0)


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def mean_between(c: Columns, w: Witness, one: int, other: int, but: int) -> float:
    """Mean evidence between the members of two clusters, of the first all ``but`` one pin.

    By those who speak; 0 if nobody is left to; -inf if a pair is found that is too far apart.
    """
    listeners = c.size[one] - (0 if but == NOBODY else 1)
    if not listeners:
        return 0.0
    if max(c.size[one], c.size[other]) > SIDE and _too_far(c, w, one, other):
        return -np.inf
    theirs = speakers(c, other, listeners)
    heard, said = 0, 0.0
    for mine in speakers(c, one, c.size[other]):
        if mine != but:
            for member in theirs:
                said += w.table[row_distance(w.words[mine], w.words[member])]
            heard += len(theirs)
    return said / heard


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _too_far(c: Columns, w: Witness, one: int, other: int) -> bool:
    """Whether a search for the farthest pair of two clusters finds one that cannot be together.

    From a pin of the one to the farthest of the other, back to the farthest from there, and once
    more: on a chain of look-alikes that ends at its ends.
    """
    here, there = speakers(c, one, 1), speakers(c, other, 1)
    at = here[0]
    for _ in range(3):
        farthest, most = there[0], np.int64(-1)
        for pin in there:
            bits = np.int64(row_distance(w.words[at], w.words[pin]))
            if bits > most:
                farthest, most = pin, bits
        if w.table[most] == -np.inf:
            return True
        at = farthest
        here, there = there, here
    return False


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def speakers(c: Columns, slot: int, listeners: int) -> Int64:
    """Members that speak for their cluster, those whose ordinals hash lowest."""
    most = min(SAMPLE, SIDE * SIDE // min(SIDE, listeners))
    members: Int64 = lowest(c.children, c.root[slot], most)
    return members


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def may_merge(c: Columns, w: Witness, one: int, other: int) -> bool:
    """Whether these are two clusters, and no person keeps a pin of one apart from the other's."""
    if one == other:
        return False
    if not (c.walled[one] and c.walled[other]):
        return True
    for k in range(len(w.walls)):
        left, right = c.slot[w.walls[k, 0]], c.slot[w.walls[k, 1]]
        if (left == one and right == other) or (left == other and right == one):
            return False
    return True
