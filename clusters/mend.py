"""Parts of a large component are joined, and pins moved, where bounded looks find evidence for it.

Of two linked parts at most 32 x 32 pairs are weighed (``attach.speakers``), whatever their size.
The two with the most evidence a pair are joined first: by its sum, the two largest would be, and
a large sum of small evidence says little. Then each pin goes to the linked part that it has the
most evidence for, or alone.
"""

import heapq

import numba as nb
import numpy as np
import numpy.typing as npt

from neardup.clusters.attach import Witness, gain_in, may_merge, mean_between
from neardup.clusters.columns import Columns, grow
from neardup.clusters.evidence import Evidence, Links, Signatures
from neardup.clusters.seats import join, leave, merge, seat, start
from neardup.clusters.treap import NOBODY
from neardup.index.hamming import words

Int64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

PASSES = 4
"""Rounds of moves at most; nearly always the second finds nothing to move."""


def mend(evidence: Evidence, signatures: Signatures, links: Links, parts: Int64) -> Int64:
    """For each pin the least pin of its part, int64 [n], after joints and moves.

    ``signatures`` uint8 [n, 128]; ``links`` and ``parts`` int64 [n] by position in them.
    """
    n = len(parts)
    columns = grow(None, n, None)
    names, slots = np.unique(parts, return_inverse=True)
    seat(columns, np.arange(n), slots, names, names)
    walls = _walls(links)
    columns.walled[slots[walls]] = True
    w = Witness(
        words(signatures),
        evidence.table,
        -np.inf,
        evidence.zero,
        walls,
        np.unique(walls),
        np.empty(0, np.int64),
    )
    together = np.isposinf(links.scores)
    _unite(columns, links.left[together], links.right[together])
    _join(columns, w, *_linked_parts(columns, links))
    begins, linked, scores = _both_ways(n, links)
    for _ in range(PASSES):
        if not _move(columns, w, begins, linked, scores):
            break
    _, first, which = np.unique(columns.slot[:n], return_index=True, return_inverse=True)
    least: Int64 = first[which]
    return least


def _walls(links: Links) -> Int64:
    """Pairs that a person keeps apart, int64 [k, 2]."""
    apart = np.isneginf(links.scores)
    return np.stack([links.left[apart], links.right[apart]], axis=1)


def _linked_parts(columns: Columns, links: Links) -> tuple[Int64, Int64]:
    """Of each two clusters that links lead between a pin, which finds them once they are merged."""
    ends = columns.slot[np.stack([links.left, links.right])].astype(np.int64)
    pairs = np.unique(np.sort(ends[:, ends[0] != ends[1]], axis=0), axis=1)
    return columns.head[pairs[0]].astype(np.int64), columns.head[pairs[1]].astype(np.int64)


def _both_ways(n: int, links: Links) -> tuple[Int64, Int64, Floats]:
    """For pin i its links ``begins[i]`` to ``begins[i + 1]``, whichever end it is; once each."""
    one = np.concatenate([links.left, links.right])
    other = np.concatenate([links.right, links.left])
    scores = np.concatenate([links.scores, links.scores])
    _, last = np.unique((one * n + other)[::-1], return_index=True)
    kept = len(one) - 1 - last  # by (pin, other), the last score of each
    begins = np.searchsorted(one[kept], np.arange(n + 1))
    return begins, other[kept], scores[kept]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _unite(c: Columns, left: Int64, right: Int64) -> None:
    """Join the parts of pins that people put together."""
    for i in range(len(left)):
        if c.slot[left[i]] != c.slot[right[i]]:
            merge(c, c.slot[left[i]], c.slot[right[i]])


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _join(c: Columns, w: Witness, left: Int64, right: Int64) -> None:
    """Join linked parts, those with most evidence a pair first; what is asked for may be outdated.

    A heap holds what was last known of two parts. When its top no longer is what the two say now,
    it goes back with what they say.
    """
    heap = [(0.0, np.int64(NOBODY), np.int64(NOBODY)) for _ in range(0)]
    for i in range(len(left)):
        said = mean_between(c, w, c.slot[left[i]], c.slot[right[i]], NOBODY)
        if said > 0:
            heap.append((-said, left[i], right[i]))
    heapq.heapify(heap)
    while len(heap):
        known, one, other = heapq.heappop(heap)
        mine, theirs = c.slot[one], c.slot[other]
        if not may_merge(c, w, mine, theirs):
            continue
        said = mean_between(c, w, mine, theirs, NOBODY)
        if said > 0 and -said > known:
            heapq.heappush(heap, (-said, one, other))
        elif said > 0:
            merge(c, mine, theirs)


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _move(c: Columns, w: Witness, begins: Int64, linked: Int64, scores: Floats) -> int:
    """Move pins, in their order, to where they have most evidence; how many moved."""
    moved = 0
    for pin in range(len(begins) - 1):
        mine, said = linked[begins[pin] : begins[pin + 1]], scores[begins[pin] : begins[pin + 1]]
        best = _best_slot(c, w, pin, mine, said)
        if best != c.slot[pin]:
            leave(c, pin)
            if best == NOBODY:
                start(c, pin, pin)
            else:
                join(c, pin, best)
            moved += 1
    return moved


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _best_slot(c: Columns, w: Witness, pin: int, mine: Int64, said: Floats) -> np.int64:
    """The linked part that a pin has most evidence for, its own if none has more; or NOBODY."""
    slots = c.slot[mine]
    best = np.int64(c.slot[pin])
    gain = gain_in(c, w, pin, best, mine[slots == best], said[slots == best])
    if gain < 0:
        best, gain = np.int64(NOBODY), 0.0
    for slot in np.unique(slots):
        if slot != c.slot[pin]:
            here = slots == slot
            offered = gain_in(c, w, pin, slot, mine[here], said[here])
            if offered > gain:
                best, gain = np.int64(slot), offered
    return best
