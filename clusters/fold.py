"""The stream's fold: links in the order of the log, clusters out.

A pin joins the linked cluster with the most evidence, or starts its own. Two clusters that a pin
links are merged only if the evidence between them is positive. That is the k-cut's criterion read
locally, so the nightly run rarely has anything to correct, and a chain of look-alikes cannot glue
clusters together: every pin of a large cluster speaks, linked or not.

What bounds the work per pin: ``max_links`` links, and of each cluster that they reach at most
``SAMPLE`` members, those whose ordinals hash lowest. That sample is a function of the set of
members alone, so neither the order of arrival nor a restart changes it. Joining and leaving take
O(log n), beside a cluster of a million too (``treap``).

Memory: 24 bytes a pin and 21 a cluster (``columns``).
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neardup.clusters.attach import Batch, Witness, gain_in, may_merge, replay
from neardup.clusters.columns import Int64, grow
from neardup.clusters.evidence import Evidence, Ordinals, Signatures
from neardup.clusters.seats import join, merge, seat, start, take_out, take_touched
from neardup.clusters.treap import NOBODY as NOBODY
from neardup.clusters.treap import everyone
from neardup.index.hamming import words

FOUNDER_BITS = 40
"""A cluster's id is ``generation << FOUNDER_BITS | founder``: dense enough to be readable, and
never given twice, because an ordinal founds at most one cluster in a generation."""


def decreed_id(generation: int, sequence: int) -> int:
    """The id of a cluster that a person's word founds, the ``sequence``-th of the lake's overrides.

    Founders are below 2^31, so no pin's cluster has it.
    """
    return generation << FOUNDER_BITS | 1 << (FOUNDER_BITS - 1) | sequence


class Link(NamedTuple):
    """A newer pin's match with an older one, as the fold sees it."""

    ordinal: int
    score: float


class Membership(NamedTuple):
    """Where a pin version stands after a batch; ``cluster_id`` is NOBODY if it left."""

    ordinal: int
    cluster_id: int
    head: int


class Standing(NamedTuple):
    """Memberships as arrays, int64 [n] each, by ordinal."""

    ordinals: Int64
    cluster_ids: Int64
    heads: Int64


class Changes(NamedTuple):
    """As Standing, of pins whose standing changed, and ``before``: their clusters until then.

    ``sizes`` int64 [n]: of the clusters where they stand now, 0 for NOBODY.
    """

    ordinals: Int64
    cluster_ids: Int64
    heads: Int64
    before: Int64
    sizes: Int64


class Fold:
    """Clusters over ordinals 0..n-1, changed pin by pin or batch by batch, with one outcome.

    ``evidence`` may be replaced between two batches: what was decided stays.
    ``signatures(slice)`` gives rows of packed signatures uint8 [n, 128], a view: those of pins
    that were added are read, a few at a time. With a ``directory`` the arrays are memory-mapped
    files in it, made anew.
    """

    def __init__(
        self,
        evidence: Evidence,
        signatures: Callable[[slice], Signatures],
        generation: int,
        directory: Path | None = None,
    ) -> None:
        self.generation = generation
        self.evidence = evidence
        self._signatures = signatures
        self._directory = directory
        self._n = 0
        self._columns = grow(None, 0, directory)
        self._walls = np.empty((0, 2), np.int64)
        self._blocked = np.empty(0, np.int64)

    @classmethod
    def restore(
        cls,
        evidence: Evidence,
        signatures: Callable[[slice], Signatures],
        generation: int,
        members: tuple[Ordinals, Ordinals, Ordinals],
        pins: int,
        directory: Path | None = None,
    ) -> "Fold":
        """The fold that wrote ``members`` = (ordinals, cluster ids, heads), int64 [live pins].

        ``pins`` is the number of ordinals given so far; those not among the members are dead.
        """
        fold = cls(evidence, signatures, generation, directory)
        fold._grow(pins)
        ordinals, ids, heads = (np.asarray(column, np.int64) for column in members)
        ids, first, slots = np.unique(ids, return_index=True, return_inverse=True)
        seat(fold._columns, ordinals, slots, ids, heads[first])
        return fold

    def __len__(self) -> int:
        return self._n

    def is_live(self, ordinal: int) -> bool:
        """Whether this pin version was added and has not left."""
        return ordinal < self._n and bool(self._columns.slot[ordinal] != NOBODY)

    def dead(self) -> Ordinals:
        """Ordinals that were given and have left, ascending."""
        return np.flatnonzero(self._columns.slot[: self._n] == NOBODY)

    def members(self, ordinal: int) -> Ordinals:
        """All members of the cluster of a live pin, ascending."""
        columns, slot = self._columns, self._columns.slot[ordinal]
        return np.sort(everyone(columns.children, columns.root[slot], columns.size[slot]))

    def add(self, ordinal: int, links: Sequence[Link]) -> None:
        """A new pin: joins, starts or merges clusters. Links to dead pins have no effect."""
        linked = np.array([link.ordinal for link in links], np.int64)
        scores = np.array([link.score for link in links], np.float64)
        rows = (np.array([NOBODY]), np.array([ordinal]), np.array([0, len(links)]))
        self.fold(Batch(*rows, linked, scores))

    def leave(self, ordinal: int) -> None:
        """A pin is deleted or replaced by a new version; a lost head is replaced by the oldest."""
        rows = (np.array([ordinal]), np.array([NOBODY]), np.array([0, 0]))
        self.fold(Batch(*rows, np.empty(0, np.int64), np.empty(0, np.float64)))

    def fold(self, batch: Batch) -> None:
        """All of a batch, in its order; where it is divided into batches changes nothing."""
        if not len(batch.started):
            return
        self._grow(int(batch.started.max()) + 1)
        replay(self._columns, self._witness(), batch, self.generation << FOUNDER_BITS)

    def decree(self, apart: Int64, blocked: Int64) -> None:
        """What people said, in place of what they said before, for all that is folded from now on.

        ``apart`` int64 [k, 2]: pairs of ordinals whose clusters are never merged. ``blocked`` int64
        [b]: pins whose links count for nothing. They may be pins that are yet to come. Pins that
        are together already stay so: see ``part`` and ``isolate``.
        """
        self._walls, self._blocked = apart.reshape(-1, 2), np.unique(blocked)
        walled = np.unique(self._walls)
        slots = self._columns.slot[walled[walled < self._n]]
        self._columns.walled[:] = False
        self._columns.walled[slots[slots != NOBODY]] = True

    def unite(self, one: int, other: int) -> bool:
        """Merge the clusters of two live pins, whatever the evidence; whether they are one now.

        They are not if a person keeps a pin of the one apart from a pin of the other.
        """
        columns, slots = self._columns, self._columns.slot[[one, other]].tolist()
        if may_merge(columns, self._witness(), *slots):
            merge(columns, *slots)
        return bool(columns.slot[one] == columns.slot[other])

    def part(self, one: int, other: int, cluster_id: int) -> None:
        """Of two live pins in one cluster, that with less evidence for it starts its own.

        Of equal ones the newer. The next compaction says better who goes with whom.
        """
        columns, witness = self._columns, self._witness()
        slot = int(columns.slot[one])
        if slot == columns.slot[other]:
            none = np.empty(0, np.int64), np.empty(0, np.float64)
            gains = {pin: gain_in(columns, witness, pin, slot, *none) for pin in (one, other)}
            self.isolate(min(gains, key=lambda pin: (gains[pin], -pin)), cluster_id)

    def isolate(self, ordinal: int, cluster_id: int) -> None:
        """A live pin leaves its cluster, unless it is alone there, and starts this one.

        ``cluster_id`` must never have been given (``decreed_id``); the pin's own may have been.
        """
        columns = self._columns
        if columns.size[columns.slot[ordinal]] > 1:
            take_out(columns, ordinal)
            slot = start(columns, ordinal, cluster_id)
            columns.walled[slot] = bool(np.isin(ordinal, self._walls))

    def move(self, ordinal: int, beside: int) -> None:
        """A live pin, alone, leaves its cluster and joins that of another, whatever the evidence.

        The caller sees to it that nobody keeps it apart from a pin there.
        """
        columns, slot = self._columns, int(self._columns.slot[beside])
        if columns.slot[ordinal] != slot:
            take_out(columns, ordinal)
            join(columns, ordinal, slot)
            columns.walled[slot] |= bool(np.isin(ordinal, self._walls))

    def take_changes(self) -> list[Membership]:
        """Where every pin stands whose membership changed since the last call, by ordinal."""
        changed = self.take_standing()
        columns = (column.tolist() for column in changed[:3])
        return [Membership(*row) for row in zip(*columns, strict=True)]

    def take_standing(self) -> Changes:
        """The same as arrays."""
        columns = self._columns
        ordinals = take_touched(columns)
        slots = columns.slot[ordinals]
        sizes = np.where(slots == NOBODY, 0, columns.size[slots]).astype(np.int64)
        return Changes(*self.standing(ordinals), columns.before[ordinals], sizes)

    def memberships(self, ordinals: Iterable[int]) -> Iterable[Membership]:
        """Where these pins stand now."""
        standing = self.standing(np.fromiter(ordinals, np.int64))
        for row in zip(*(column.tolist() for column in standing), strict=True):
            yield Membership(*row)

    def standing(self, ordinals: Ordinals) -> Standing:
        """The same as arrays; ids and heads of those that left are NOBODY."""
        columns, slots = self._columns, self._columns.slot[ordinals]
        gone = slots == NOBODY
        ids = np.where(gone, NOBODY, columns.cluster_id[slots])
        return Standing(ordinals, ids, np.where(gone, NOBODY, columns.head[slots]).astype(np.int64))

    def _witness(self) -> Witness:
        evidence = self.evidence
        signatures = words(self._signatures(slice(0, self._n)))
        if len(signatures) < self._n:
            raise ValueError(f"There are signatures of {len(signatures)} pins, not of {self._n}.")
        return Witness(
            signatures,
            evidence.table,
            float(evidence.trusted),
            float(evidence.zero),
            self._walls,
            np.unique(self._walls),
            self._blocked,
        )

    def _grow(self, n: int) -> None:
        self._columns = grow(self._columns, n, self._directory)
        self._n = max(self._n, n)


def rehearse(evidence: Evidence) -> None:
    """Fold four pins and keep nothing: now the kernels are compiled."""
    pins = np.arange(4 * 128, dtype=np.uint8).reshape(4, 128)
    fold = Fold(evidence, lambda rows: pins[rows], generation=0)
    fold.add(0, [])
    fold.add(1, [])
    for ordinal in (2, 3):
        fold.add(ordinal, [Link(0, 9.0), Link(1, 9.0)])
    fold.leave(0)
    fold.part(1, 2, decreed_id(0, 0))
    fold.unite(1, 2)
    fold.isolate(3, decreed_id(0, 1))
    fold.move(3, 1)
    fold.take_changes()
