"""What people said, kept true by sets and loops: the oracle of ``fold_rows`` and ``Word``.

Nothing is remembered but the rows that were heard: who belongs together, and who is kept apart, is
read from them anew before every step. Beside it a random log that people speak in.
"""

from collections import defaultdict
from typing import Any

import numpy as np

from neardup.clusters.contradiction import refusal
from neardup.clusters.evidence import Evidence
from neardup.clusters.fold import NOBODY, Link, decreed_id
from neardup.clusters.overrides import in_force
from tests.clusters.naive_fold import NaiveFold

Row = dict[str, Any]


def has_looks(ordinal: int) -> bool:
    """The looks of three pins of four are known."""
    return ordinal % 4 < 3


class NaiveWord:
    def __init__(self, fold: NaiveFold) -> None:
        self.fold = fold
        self.rows: list[Row] = []  # heard
        self.at: dict[str, int] = {}  # live pins
        self.pin_ids: list[str] = []  # by ordinal

    def together(self) -> list[tuple[str, str]]:
        rows = in_force(self.rows)
        return [(r["pin_id"], r["other"]) for r in rows if r["kind"] in ("link", "move")]

    def apart(self) -> list[tuple[str, str]]:
        rows = in_force(self.rows)
        pairs = [(r["pin_id"], r["other"]) for r in rows if r["kind"] == "unlink"]
        return pairs + [(r["pin_id"], r["left"]) for r in rows if r["left"] is not None]

    def group(self, pin_id: str) -> set[str]:
        group, pairs = {pin_id}, self.together()
        for _ in pairs:
            for pair in pairs:
                if group & set(pair):
                    group |= set(pair)
        return group

    def here(self, pin_id: str) -> list[int]:
        """The live pins of a group, oldest first."""
        return sorted(self.at[name] for name in self.group(pin_id) & self.at.keys())

    def rule(self) -> NaiveFold:
        self.fold.walls = [
            (left, right)
            for one, other in self.apart()
            for left in self.here(one)
            for right in self.here(other)
        ]
        blocked = {r["pin_id"] for r in in_force(self.rows) if r["kind"] == "block"}
        self.fold.blocked = {self.at[name] for name in blocked & self.at.keys()}
        return self.fold

    def hear(self, row: Row) -> None:
        cluster_id = decreed_id(self.fold.generation, row["sequence"])
        one, other = row["pin_id"], row["other"]
        if row["kind"] == "link":
            self.bring_together(one, other, cluster_id, whole_clusters=True)
        if row["kind"] == "move":
            self.bring_together(one, other, cluster_id, whole_clusters=False)
            self.rows.append({**row, "left": None})
            self.take_apart(one, row["left"], cluster_id)
            self.rows.pop()
        if row["kind"] == "unlink":
            self.take_apart(one, other, cluster_id)
        if row["kind"] == "block" and one in self.at:
            self.fold.isolate(self.at[one], cluster_id)
        self.rows.append(row)

    def bring_together(self, one: str, other: str, new: int, whole_clusters: bool) -> None:
        left, right = self.speaker(one), self.speaker(other)
        if NOBODY in (left, right):
            return
        if self.fold.cluster_of(left) == self.fold.cluster_of(right):
            return
        if whole_clusters and self.rule().unite(left, right):
            return
        if self.may_stand(one, right):
            self.carry(one, right)
        elif self.may_stand(other, left):
            self.carry(other, left)
        else:
            self.fold.isolate(left, new)
            self.carry(one, left)
            self.carry(other, left)

    def take_apart(self, one: str, other: str | None, new: int) -> None:
        left, right = self.speaker(one), NOBODY if other is None else self.speaker(other)
        if NOBODY in (left, right):
            return
        if self.fold.cluster_of(left) == self.fold.cluster_of(right):
            self.fold.part(left, right, new)
            gone = left if self.fold.cluster_of(left) == new else right
            self.carry(self.pin_ids[gone], gone)

    def speaker(self, pin_id: str) -> int:
        return self.at.get(pin_id, min(self.here(pin_id), default=NOBODY))

    def may_stand(self, pin_id: str, beside: int) -> bool:
        group = self.group(pin_id)
        kept = {pin for pair in self.apart() for pin in pair if group & (set(pair) - {pin})}
        away = {ordinal for pin in kept for ordinal in self.here(pin)}
        return not away & self.fold.members[self.fold.cluster_of(beside)]

    def carry(self, pin_id: str, beside: int) -> None:
        for ordinal in self.here(pin_id):
            self.fold.move(ordinal, beside)

    def trusts(self, ordinal: int, link: Link) -> bool:
        seen = has_looks(ordinal) and has_looks(link.ordinal)
        return seen or link.score >= self.fold.evidence.unseen

    def event(self, row: Row) -> None:
        if row["kind"] == "repeat":
            return
        pin_id, ordinal = row["pin_id"], row["ordinal"]
        self.at.pop(pin_id, None)
        if ordinal is None:
            return self.fold.leave(row["previous"])
        self.at[pin_id] = ordinal
        self.pin_ids.append(pin_id)
        self.rule()
        if row["previous"] is not None:
            self.fold.leave(row["previous"])
        links = [Link(link["ordinal"], link["score"]) for link in row["links"]]
        self.fold.add(ordinal, [link for link in links if self.trusts(ordinal, link)])
        for said in (r for r in in_force(self.rows) if r["kind"] == "link"):
            pair = said["pin_id"], said["other"]
            if pin_id in pair:
                other = pair[pair[0] == pin_id]
                if other in self.at and self.rule().unite(ordinal, self.at[other]):
                    return
        others = [here for here in self.here(pin_id) if here != ordinal]
        if others:
            self.fold.move(ordinal, others[0])

    def take(self, batch_seq: int) -> list[Row]:
        """The rows for ``clusters`` of a batch."""
        newest = {self.pin_ids[m.ordinal]: m for m in self.fold.take_changes()}
        return [
            {
                "pin_id": pin_id,
                "ordinal": m.ordinal,
                "cluster_id": None if m.cluster_id == NOBODY else m.cluster_id,
                "head": None if m.head == NOBODY else self.pin_ids[m.head],
                "head_ordinal": None if m.head == NOBODY else m.head,
                "generation": self.fold.generation,
                "batch_seq": batch_seq,
                "component": None,
            }
            for pin_id, m in sorted(newest.items(), key=lambda item: item[1].ordinal)
        ]

    def clusters(self) -> dict[int, set[int]]:
        """The members of each cluster."""
        return {cluster: set(members) for cluster, members in self.fold.members.items()}


def became(
    before: dict[int, set[int]], after: dict[int, set[int]]
) -> list[tuple[int, int, int, float]]:
    """What became of clusters in a batch, from all their members: old, new, shared, share."""
    cells = {
        (old, new): len(had & has)
        for old, had in before.items()
        for new, has in after.items()
        if had & has
    }
    of_old, of_new = defaultdict(list), defaultdict(list)
    for old, new in cells:
        of_old[old].append(new)
        of_new[new].append(old)
    return [
        (old, new, shared, shared / len(before[old]))
        for (old, new), shared in sorted(cells.items())
        if not (old == new and of_old[old] == [new] and of_new[new] == [old])
    ]


class Town:
    """Pins that come, change and go, and people who speak of them; the model has lived it all.

    ``log``: batches, of what was said and of events, both in their order.
    """

    NAMES = "abcdefgh"

    def __init__(self, seed: int, evidence: Evidence, signatures: np.ndarray, links: Any) -> None:
        self.rng = np.random.default_rng(seed)
        self.word = NaiveWord(NaiveFold(evidence, signatures))
        self.links = links
        self.spoken: list[Row] = []
        self.events = 0

    def batch(self, words: int, events: int) -> tuple[list[Row], list[Row]]:
        """The next batch of the log; the model has folded it."""
        said = [row for row in (self._word() for _ in range(words)) if row is not None]
        return said, [self._event() for _ in range(events)]

    def _word(self) -> Row | None:
        one, other = self.rng.choice(list(self.NAMES), 2, replace=False).tolist()
        kind = str(self.rng.choice(["link", "link", "unlink", "move", "block", "forget"]))
        row = {"sequence": len(self.spoken), "kind": kind, "pin_id": one, "other": None}
        row |= {"left": None, "forgets": None, "who": "ann", "why": "a test"}
        if kind in ("link", "unlink", "move"):
            row["other"] = other
        if kind == "forget":
            standing = in_force(self.spoken)
            if not standing:
                return None
            row["forgets"] = standing[self.rng.integers(len(standing))]["sequence"]
        if kind == "move":
            if not {one, other} <= self.word.at.keys():
                return None
            at, fold = self.word.at[one], self.word.fold
            beside = fold.members[fold.cluster_of(at)] - {at}
            if self.word.at[other] in beside:
                return None
            row["left"] = self.word.pin_ids[min(beside)] if beside else None
        if refusal(in_force(self.spoken), row) is not None:
            return None
        self.spoken.append(row)
        self.word.hear(row)
        return row

    def _event(self) -> Row:
        name = str(self.rng.choice(list(self.NAMES)))
        previous = self.word.at.get(name)
        kind = str(self.rng.choice(["add", "add", "add", "delete", "repeat"]))
        if previous is None:
            kind = "add"
        row: Row = {"pin_id": name, "kind": kind, "ordinal": None, "previous": previous}
        row["links"] = []
        if kind == "add":
            row["ordinal"] = len(self.word.pin_ids)
            row["links"] = [
                {"ordinal": older, "overlap": 1, "hamming": 1, "score": float(np.float32(score))}
                for older, score in self.links(row["ordinal"])
            ]
        row["offset"] = self.events
        self.events += 1
        self.word.event(row)
        return row
