"""The stream's fold: links in the order of the log, clusters out.

A pin joins the linked cluster with the most evidence, or starts its own. Two clusters that a pin
links are merged only if the evidence between them is positive. That is the k-cut's criterion read
locally, so the nightly run rarely has anything to correct, and a chain of look-alikes cannot glue
clusters together: every pin of a large cluster speaks, linked or not.

What bounds the work per pin: ``max_links`` links, and of each cluster that they reach at most
``SAMPLE`` members, those whose ordinals hash lowest. That sample is a function of the set of
members alone, so neither the order of arrival nor a restart changes it.

Memory: three int64 arrays by ordinal (label, next member in a circular list, size): 24 bytes a
pin; two more by cluster (id, head), and a sample for each cluster of more than SAMPLE pins.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numba as nb
import numpy as np

from neardup.clusters.evidence import Evidence, Ordinals, Signatures

SAMPLE = 16
FOUNDER_BITS = 40
"""A cluster's id is ``generation << FOUNDER_BITS | founder``: dense enough to be readable, and
never given twice, because an ordinal founds at most one cluster in a generation."""

NOBODY = -1


class Link(NamedTuple):
    """A newer pin's match with an older one, as the fold sees it."""

    ordinal: int
    score: float


class Membership(NamedTuple):
    """Where a pin version stands after a batch; ``cluster_id`` is NOBODY if it left."""

    ordinal: int
    cluster_id: int
    head: int


class Fold:
    """Clusters over ordinals 0..n-1, changed pin by pin.

    ``signatures(ordinals)`` gives the packed signatures uint8 [len(ordinals), bytes] of pins that
    were added; it is called for samples only.
    """

    def __init__(
        self, evidence: Evidence, signatures: Callable[[Ordinals], Signatures], generation: int
    ) -> None:
        self.generation = generation
        self._evidence = evidence
        self._signatures = signatures
        self._n = 0
        self._label = np.empty(0, np.int64)
        self._next = np.empty(0, np.int64)
        self._size = np.empty(0, np.int64)
        self._id: dict[int, int] = {}
        self._head: dict[int, int] = {}
        self._samples: dict[int, Ordinals] = {}
        self._changed: set[int] = set()

    @classmethod
    def restore(
        cls,
        evidence: Evidence,
        signatures: Callable[[Ordinals], Signatures],
        generation: int,
        members: tuple[Ordinals, Ordinals, Ordinals],
        pins: int,
    ) -> "Fold":
        """The fold that wrote ``members`` = (ordinals, cluster ids, heads), int64 [live pins].

        ``pins`` is the number of ordinals given so far; those not among the members are dead.
        """
        fold = cls(evidence, signatures, generation)
        fold._grow(pins)
        order = np.lexsort((members[0], members[1]))
        ordinals, ids, heads = (column[order] for column in members)
        _, starts, sizes = np.unique(ids, return_index=True, return_counts=True)
        for begin, size in zip(starts.tolist(), sizes.tolist(), strict=True):
            fold._seat(ordinals[begin : begin + size], int(ids[begin]), int(heads[begin]))
        return fold

    def _seat(self, members: Ordinals, cluster_id: int, head: int) -> None:
        slot = int(members[0])
        self._label[members] = slot
        self._next[members] = np.roll(members, -1)
        self._size[slot] = len(members)
        self._id[slot] = cluster_id
        self._head[slot] = head
        if len(members) > SAMPLE:
            self._samples[slot] = _lowest(members)

    def __len__(self) -> int:
        return self._n

    def is_live(self, ordinal: int) -> bool:
        """Whether this pin version was added and has not left."""
        return ordinal < self._n and self._label[ordinal] != NOBODY

    def dead(self) -> Ordinals:
        """Ordinals that were given and have left, ascending."""
        return np.flatnonzero(self._label[: self._n] == NOBODY)

    def members(self, ordinal: int) -> Ordinals:
        """All members of the cluster of a live pin, in no particular order."""
        return self._all_of(int(self._label[ordinal]))

    def _all_of(self, slot: int) -> Ordinals:
        members: Ordinals = _walk(self._next, slot, int(self._size[slot]))
        return members

    def add(self, ordinal: int, links: Sequence[Link]) -> None:
        """A new pin: joins, starts or merges clusters. Links to dead pins have no effect."""
        self._grow(ordinal + 1)
        self._start(ordinal)
        trusted = [
            link
            for link in links
            if link.score >= self._evidence.trusted and self.is_live(link.ordinal)
        ]
        for slot, gain in self._ranked(ordinal, trusted):
            other = self._slot_of(slot)
            own = int(self._label[ordinal])
            if other != own and (self._size[own] == 1 or self._agree(own, other, gain)):
                self._merge(own, other)

    def _ranked(self, ordinal: int, links: list[Link]) -> list[tuple[int, float]]:
        """(a member of the cluster, evidence), for linked clusters that gain, best first."""
        by_slot: dict[int, dict[int, float]] = {}
        for link in links:
            by_slot.setdefault(int(self._label[link.ordinal]), {})[link.ordinal] = link.score
        gains = [
            (slot, self._evidence_for(ordinal, slot, scores)) for slot, scores in by_slot.items()
        ]
        gains.sort(key=lambda pair: (-pair[1], self._id[pair[0]]))
        return [(slot, gain) for slot, gain in gains if gain > 0]

    def _slot_of(self, member: int) -> int:
        return int(self._label[member])

    def _evidence_for(self, ordinal: int, slot: int, scores: dict[int, float]) -> float:
        """Summed log-odds of ``ordinal`` with all members: links as scored, others by sample."""
        linked = sum(scores.values())
        others = np.array([m for m in self._sample(slot) if m not in scores], np.int64)
        unlinked = int(self._size[slot]) - len(scores)
        if not len(others) or not unlinked:
            return linked
        own = self._signatures(np.array([ordinal]))
        return linked + unlinked * float(
            self._evidence.between(own, self._signatures(others)).mean(dtype=np.float64)
        )

    def _agree(self, own: int, other: int, gain: float) -> bool:
        """Whether merging raises the objective; the new pin, in ``own``, brings ``gain``."""
        left, right = self._signatures(self._sample(own)), self._signatures(self._sample(other))
        pairs = (int(self._size[own]) - 1) * int(self._size[other])
        mean = float(self._evidence.between(left, right).mean(dtype=np.float64))
        return gain + pairs * mean > 0

    def _sample(self, slot: int) -> Ordinals:
        if slot in self._samples:
            return self._samples[slot]
        return np.sort(self._all_of(slot))

    def _start(self, ordinal: int) -> None:
        self._label[ordinal] = self._next[ordinal] = ordinal
        self._size[ordinal] = 1
        self._id[ordinal] = self.generation << FOUNDER_BITS | ordinal
        self._head[ordinal] = ordinal
        self._changed.add(ordinal)

    def _merge(self, one: int, other: int) -> None:
        """The larger cluster absorbs the smaller; of two equal ones, that with the lower id."""
        keep, gone = sorted((one, other), key=lambda s: (-int(self._size[s]), self._id[s]))
        moved = self._all_of(gone)
        sample = np.concatenate([self._sample(keep), self._sample(gone)])
        self._label[moved] = keep
        self._next[keep], self._next[gone] = self._next[gone], self._next[keep]
        self._size[keep] += self._size[gone]
        self._samples.pop(gone, None)
        if self._size[keep] > SAMPLE:
            self._samples[keep] = _lowest(sample)
        del self._id[gone], self._head[gone]
        self._changed.update(moved.tolist())

    def leave(self, ordinal: int) -> None:
        """A pin is deleted or replaced by a new version; a lost head is replaced by the oldest."""
        slot = int(self._label[ordinal])
        rest = self.members(ordinal)
        rest = np.sort(rest[rest != ordinal])
        cluster_id, head = self._id.pop(slot), self._head.pop(slot)
        self._samples.pop(slot, None)
        self._label[ordinal] = NOBODY
        self._changed.add(ordinal)
        if not len(rest):
            return
        if head == ordinal:
            head = int(rest[0])
            self._changed.add(head)
        self._seat(rest, cluster_id, head)

    def take_changes(self) -> list[Membership]:
        """Where every pin stands whose membership changed since the last call, by ordinal."""
        changed = sorted(self._changed)
        self._changed.clear()
        return list(self.memberships(changed))

    def memberships(self, ordinals: Iterable[int]) -> Iterable[Membership]:
        """Where these pins stand now."""
        for ordinal in ordinals:
            slot = int(self._label[ordinal])
            if slot == NOBODY:
                yield Membership(ordinal, NOBODY, NOBODY)
            else:
                yield Membership(ordinal, self._id[slot], self._head[slot])

    def _grow(self, n: int) -> None:
        if n > len(self._label):
            room = max(1024, 2 * len(self._label), n)
            for name in ("_label", "_next", "_size"):
                array = np.full(room, NOBODY, np.int64)
                array[: self._n] = getattr(self, name)[: self._n]
                setattr(self, name, array)
        self._n = max(self._n, n)


def _lowest(members: Ordinals) -> Ordinals:
    """The SAMPLE members whose ordinals hash lowest (a bottom-k sketch; Cohen 1997), ascending."""
    # Knuth's multiplicative hash: a bijection on 64 bits, so there are no ties.
    keys = members.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return np.sort(members[np.argsort(keys)[:SAMPLE]])


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _walk(following: Ordinals, start: int, size: int) -> Ordinals:
    members = np.empty(size, np.int64)
    at = start
    for i in range(size):
        members[i] = at
        at = following[at]
    return members
