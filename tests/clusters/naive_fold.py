"""The fold as its docstring tells it, with sets and loops: the oracle of the compiled one."""

from collections.abc import Sequence

import numpy as np

from neardup.clusters.attach import SAMPLE
from neardup.clusters.evidence import Evidence
from neardup.clusters.fold import FOUNDER_BITS, NOBODY, Link, Membership
from neardup.clusters.treap import rank


class NaiveFold:
    def __init__(self, evidence: Evidence, signatures: np.ndarray, generation: int = 0) -> None:
        self.evidence, self.signatures, self.generation = evidence, signatures, generation
        self.members: dict[int, set[int]] = {}  # by cluster id
        self.heads: dict[int, int] = {}
        self.changed: set[int] = set()
        self.walls: list[tuple[int, int]] = []
        self.blocked: set[int] = set()
        self.given = 0

    def cluster_of(self, ordinal: int) -> int:
        return next((c for c, own in self.members.items() if ordinal in own), NOBODY)

    def pair(self, one: int, other: int) -> float:
        differing = int(np.bitwise_count(self.signatures[one] ^ self.signatures[other]).sum())
        return float(self.evidence.table[differing])

    def speakers(self, members: set[int], listeners: int) -> list[int]:
        return sorted(members, key=rank)[: min(SAMPLE, 1024 // min(32, listeners))]

    def start(self, ordinal: int) -> None:
        cluster = self.generation << FOUNDER_BITS | ordinal
        self.members[cluster], self.heads[cluster] = {ordinal}, ordinal
        self.changed.add(ordinal)
        self.given = max(self.given, ordinal + 1)

    def add(self, ordinal: int, links: Sequence[Link]) -> None:
        self.start(ordinal)
        by_cluster: dict[int, dict[int, float]] = {}
        for older, score in links:
            cluster = self.cluster_of(older)
            blocked = {ordinal, older} & self.blocked
            if score >= self.evidence.trusted and cluster != NOBODY and not blocked:
                by_cluster.setdefault(cluster, {})[older] = score
        ranked = sorted((-self.gain(ordinal, c, own), c) for c, own in by_cluster.items())
        for gain, cluster in [(-loss, cluster) for loss, cluster in ranked if -loss > 0]:
            other = self.cluster_of(next(iter(by_cluster[cluster])))
            own = self.cluster_of(ordinal)
            alone = len(self.members[own]) == 1
            if self.may_merge(own, other) and (alone or self.agree(ordinal, other, gain)):
                self.merge(own, other)

    def gain(self, ordinal: int, cluster: int, scores: dict[int, float]) -> float:
        members = self.members[cluster]
        gain = 0.0
        for older in sorted(scores):
            gain += scores[older] - self.evidence.zero
        others = [m for m in self.speakers(members, 1) if m not in scores and m != ordinal]
        if others:
            mean = sum(self.pair(ordinal, m) for m in others) / len(others)
            gain += (len(members - {ordinal}) - len(scores)) * mean
        return gain

    def agree(self, ordinal: int, other: int, gain: float) -> bool:
        own = self.members[self.cluster_of(ordinal)]
        others = self.members[other]
        said = [
            self.pair(mine, theirs)
            for mine in self.speakers(own, len(others))
            for theirs in self.speakers(others, len(own) - 1)
            if mine != ordinal
        ]
        if len(own) > 1 and max(len(own), len(others)) > 32 and self.too_far(own, others):
            return False
        pairs = (len(own) - 1) * float(len(others))
        return gain + pairs * (sum(said) / len(said)) > 0

    def too_far(self, own: set[int], others: set[int]) -> bool:
        here, there = self.speakers(own, 1), self.speakers(others, 1)
        at = here[0]
        for _ in range(3):
            bits = [
                int(np.bitwise_count(self.signatures[at] ^ self.signatures[pin]).sum())
                for pin in there
            ]
            if np.isneginf(self.evidence.table[max(bits)]):
                return True
            at = there[bits.index(max(bits))]
            here, there = there, here
        return False

    def may_merge(self, one: int, other: int) -> bool:
        both = {one, other}
        return one != other and not any(
            {self.cluster_of(pin) for pin in wall} == both for wall in self.walls
        )

    def merge(self, one: int, other: int) -> None:
        keep, gone = sorted((one, other), key=lambda c: (-len(self.members[c]), c))
        self.changed |= self.members[gone]
        self.members[keep] |= self.members.pop(gone)
        del self.heads[gone]

    def leave(self, ordinal: int) -> None:
        cluster = self.cluster_of(ordinal)
        self.members[cluster].remove(ordinal)
        self.changed.add(ordinal)
        if not self.members[cluster]:
            del self.members[cluster], self.heads[cluster]
        elif self.heads[cluster] == ordinal:
            self.heads[cluster] = min(self.members[cluster])
            self.changed.add(self.heads[cluster])

    def unite(self, one: int, other: int) -> bool:
        clusters = self.cluster_of(one), self.cluster_of(other)
        if self.may_merge(*clusters):
            self.merge(*clusters)
        return self.cluster_of(one) == self.cluster_of(other)

    def part(self, one: int, other: int, cluster_id: int) -> None:
        cluster = self.cluster_of(one)
        if cluster == self.cluster_of(other):
            gains = {pin: self.gain(pin, cluster, {}) for pin in (one, other)}
            self.isolate(min(gains, key=lambda pin: (gains[pin], -pin)), cluster_id)

    def isolate(self, ordinal: int, cluster_id: int) -> None:
        if len(self.members[self.cluster_of(ordinal)]) > 1:
            self.take_out(ordinal)
            self.members[cluster_id], self.heads[cluster_id] = {ordinal}, ordinal

    def move(self, ordinal: int, beside: int) -> None:
        if self.cluster_of(ordinal) != (cluster := self.cluster_of(beside)):
            self.take_out(ordinal)
            self.members[cluster].add(ordinal)

    def take_out(self, ordinal: int) -> None:
        cluster = self.cluster_of(ordinal)
        self.leave(ordinal)
        if cluster in self.heads:
            self.changed.add(self.heads[cluster])

    def standing(self) -> list[Membership]:
        return [self.membership(ordinal) for ordinal in range(self.given)]

    def membership(self, ordinal: int) -> Membership:
        cluster = self.cluster_of(ordinal)
        return Membership(ordinal, cluster, self.heads.get(cluster, NOBODY))

    def take_changes(self) -> list[Membership]:
        changed, self.changed = sorted(self.changed), set()
        return [self.membership(ordinal) for ordinal in changed]
