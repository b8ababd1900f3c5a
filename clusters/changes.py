"""What changed for whom: from memberships of one moment to those of a later one, as arrays."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.clusters.fold import FOUNDER_BITS, NOBODY

Int64 = npt.NDArray[np.int64]

UNKNOWN = -2
"""The cluster of a live pin of which nobody knows any more where it stood."""

JOINED, MOVED, MERGED, LEFT, HEAD_CHANGED = range(5)
NAMES = ("joined", "moved", "merged", "left", "head_changed")


class Moves(NamedTuple):
    """Changes of m pins: rows int64 [m] of the arrays given, kinds int64 [m] (numbers of NAMES),
    and the clusters they were in before, int64 [m], NOBODY if none or unknown."""

    rows: Int64
    kinds: Int64
    previous: Int64


class Standings:
    """Where every pin version stands: its cluster, and whether it is the head. 9 bytes a pin.

    Steps must be taken in the order of the log, with all rows of a batch in one step.
    """

    def __init__(self) -> None:
        self._clusters = np.empty(0, np.int64)
        self._is_head = np.empty(0, np.bool_)

    def live(self) -> Int64:
        """Ordinals of the pin versions that are in a cluster, ascending."""
        return np.flatnonzero(self._clusters != NOBODY)

    def succeed(self, older: Int64, newer: Int64) -> None:
        """New versions, in the order of the log: each stands where its pin stood before."""
        self._grow(int(newer.max(initial=NOBODY)) + 1)
        for old, new in zip(older.tolist(), newer.tolist(), strict=True):
            self._clusters[new] = self._clusters[old]
            self._clusters[old], self._is_head[old] = NOBODY, False

    def forget(self, ordinals: Int64) -> None:
        """These pins stand somewhere, but nobody knows where."""
        self._grow(int(ordinals.max(initial=NOBODY)) + 1)
        self._clusters[ordinals], self._is_head[ordinals] = UNKNOWN, False

    def step(self, ordinals: Int64, clusters: Int64, heads: Int64) -> Moves:
        """Where these pins stand from now on, int64 [n] each (NOBODY: they left); what changed."""
        self._grow(int(ordinals.max(initial=NOBODY)) + 1)
        before, was_head = self._clusters[ordinals], self._is_head[ordinals]
        is_head = heads == ordinals
        self._clusters[ordinals], self._is_head[ordinals] = clusters, is_head
        moved = (before != clusters) & (before != NOBODY) & (clusters != NOBODY)
        merged = moved & np.isin(before, self._gone_into_one(before[moved], clusters[moved]))
        new_head = is_head & ~was_head
        founded = clusters & ((1 << FOUNDER_BITS) - 1) == ordinals
        self._unseat(ordinals[new_head & ((before != NOBODY) | ~founded)])
        conditions = [merged, moved, before == clusters, clusters == NOBODY]
        kinds = np.select(conditions, [MERGED, MOVED, HEAD_CHANGED, LEFT], JOINED)
        rows = np.flatnonzero((before != clusters) | new_head)
        return Moves(rows, kinds[rows], np.maximum(before[rows], NOBODY))

    def _gone_into_one(self, before: Int64, after: Int64) -> Int64:
        """Of the clusters that pins moved out of, those that have nobody now and went one way."""
        ways = np.unique(np.stack([before, after], axis=1), axis=0)[:, 0]
        names, count = np.unique(ways, return_counts=True)
        if not len(names):
            return names
        inhabited = self._clusters[np.isin(self._clusters, names)]
        gone: Int64 = np.setdiff1d(names[(count == 1) & (names != UNKNOWN)], inhabited)
        return gone

    def _unseat(self, heads: Int64) -> None:
        """No other member of the clusters of these heads is one."""
        if len(heads):
            self._is_head &= ~np.isin(self._clusters, self._clusters[heads])
            self._is_head[heads] = True

    def _grow(self, n: int) -> None:
        if n > len(self._clusters):
            more = max(n, 2 * len(self._clusters)) - len(self._clusters)
            self._clusters = np.append(self._clusters, np.full(more, NOBODY))
            self._is_head = np.append(self._is_head, np.zeros(more, np.bool_))
