"""How a pin joins, starts or merges clusters, and how it leaves: compiled, on dense arrays.

What bounds the work: a pin's links (``max_links``), SAMPLE members that speak for each cluster
they reach, and O(log n) for every change of a cluster of n. A merge costs what the smaller cluster
holds, so a pin is moved at most log2(n) times in its life.
"""

from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from neardup.clusters.columns import UNTOUCHED, Columns, Int64
from neardup.clusters.evidence import Table, Words
from neardup.clusters.treap import NOBODY, everyone, insert, lowest, oldest, remove, unite
from neardup.index.hamming import row_distance

Floats = npt.NDArray[np.float64]

SAMPLE = 128
"""Members of a cluster that speak to a pin; to another cluster fewer, so that at most 32 x 32 pairs
are weighed. Most clusters are smaller, and all members speak. What needs so many is the bound on a
diameter: a pin too far from an eighth of a cluster would pass 16 speakers in one case of eight,
(7/8)^16, and passes 128 in one of 26 million."""
_SIDE = 32


class Witness(NamedTuple):
    """What the kernels need to know to weigh a pair, and where they note what they touched."""

    words: Words  # uint64 [n, 16], signatures by ordinal
    table: Table  # evidence by Hamming distance
    trusted: float
    zero: float
    walls: Int64  # [k, 2], pairs that a person keeps apart
    last: Int64  # [1], the pin touched last; NOBODY: none


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


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def replay(c: Columns, w: Witness, batch: Batch, first_id: int) -> None:
    """Fold a batch. A pin that starts a cluster names it ``first_id | ordinal``.

    A pin that has left cannot leave, and one that is here cannot come: repeats change nothing.
    """
    for i in range(len(batch.started)):
        if batch.ended[i] != NOBODY and c.slot[batch.ended[i]] != NOBODY:
            leave(c, w, batch.ended[i])
        if batch.started[i] != NOBODY and c.slot[batch.started[i]] == NOBODY:
            begin, end = batch.offsets[i], batch.offsets[i + 1]
            start(c, w, batch.started[i], first_id | batch.started[i])
            attach(c, w, batch.started[i], batch.linked[begin:end], batch.scores[begin:end])


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def touch(c: Columns, w: Witness, ordinal: int) -> None:
    if c.touched[ordinal] == UNTOUCHED:
        c.touched[ordinal] = w.last[0]
        w.last[0] = ordinal


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def start(c: Columns, w: Witness, ordinal: int, cluster_id: int) -> None:
    """A cluster of this pin alone."""
    c.slot[ordinal] = c.head[ordinal] = ordinal
    c.root[ordinal] = insert(c.children, NOBODY, ordinal)
    c.size[ordinal], c.cluster_id[ordinal] = 1, cluster_id
    touch(c, w, ordinal)


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def leave(c: Columns, w: Witness, ordinal: int) -> None:
    """A live pin ends; a lost head is replaced by the oldest member."""
    slot = c.slot[ordinal]
    c.root[slot] = remove(c.children, c.root[slot], ordinal)
    c.slot[ordinal] = NOBODY
    c.size[slot] -= 1
    touch(c, w, ordinal)
    if c.size[slot] and c.head[slot] == ordinal:
        c.head[slot] = oldest(c.children, c.root[slot])
        touch(c, w, c.head[slot])


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def merge(c: Columns, w: Witness, one: int, other: int) -> None:
    """The larger cluster absorbs the smaller; of two equal ones, that with the lower id."""
    keep, gone = one, other
    if c.size[gone] > c.size[keep] or (
        c.size[gone] == c.size[keep] and c.cluster_id[gone] < c.cluster_id[keep]
    ):
        keep, gone = gone, keep
    for moved in everyone(c.children, c.root[gone], c.size[gone]):
        c.slot[moved] = keep
        touch(c, w, moved)
    c.root[keep] = unite(c.children, np.int64(c.root[keep]), np.int64(c.root[gone]))
    c.size[keep] += c.size[gone]
    c.walled[keep] |= c.walled[gone]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def attach(c: Columns, w: Witness, ordinal: int, linked: Int64, scores: Floats) -> None:
    """Join the linked cluster with the most evidence; merge others with it if they agree.

    Clusters are tried by falling evidence, of equal ones the lower id first.
    """
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
        alone = c.size[own] == 1
        if may_merge(c, w, own, other) and (alone or _agree(c, w, ordinal, other, gains[best])):
            merge(c, w, own, other)
        gains[best] = -np.inf


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _trusted(c: Columns, w: Witness, linked: Int64, scores: Floats) -> tuple[Int64, Floats]:
    """Trusted links to live pins, each pin once (its last link), by (cluster, pin)."""
    keys = np.full(len(linked), -1, np.int64)
    for i in range(len(linked)):
        if scores[i] >= w.trusted and linked[i] < len(c.slot) and c.slot[linked[i]] != NOBODY:
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
            gains[n] = _gain(c, w, ordinal, linked[begin:end], scores[begin:end])
            n, begin = n + 1, end
    return begins[:n], gains[:n]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _gain(c: Columns, w: Witness, ordinal: int, linked: Int64, scores: Floats) -> float:
    """Summed evidence with all members of one cluster: links as scored, others by the sample."""
    slot = c.slot[linked[0]]
    gain = 0.0
    for score in scores:
        gain += score - w.zero
    heard, said = 0, 0.0
    for member in _speakers(c, slot, 1):
        at = np.searchsorted(linked, member)
        if at == len(linked) or linked[at] != member:
            heard += 1
            said += w.table[row_distance(w.words[ordinal], w.words[member])]
    if heard:
        gain += (c.size[slot] - len(linked)) * (said / heard)
    return gain


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _agree(c: Columns, w: Witness, ordinal: int, other: int, gain: float) -> bool:
    """Whether merging the pin's cluster with another raises the objective.

    ``gain`` is what the pin itself brings; its companions speak, by samples of both clusters.
    """
    own = c.slot[ordinal]
    theirs = _speakers(c, other, c.size[own] - 1)
    heard, said = 0, 0.0
    for mine in _speakers(c, own, c.size[other]):
        if mine != ordinal:
            for member in theirs:
                said += w.table[row_distance(w.words[mine], w.words[member])]
            heard += len(theirs)
    pairs = (c.size[own] - 1) * np.float64(c.size[other])
    return bool(gain + pairs * (said / heard) > 0)


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _speakers(c: Columns, slot: int, listeners: int) -> Int64:
    """Members that speak for their cluster, those whose ordinals hash lowest."""
    most = min(SAMPLE, _SIDE * _SIDE // min(_SIDE, listeners))
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
