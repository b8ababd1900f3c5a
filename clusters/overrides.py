"""What people said about pins, and what follows from it.

Statements name pins by their ids, and hold for every version of them, present and to come.
Together is transitive, through pins that are not there too: those that people put together are a
*group*. A pin of one group kept apart from a pin of another keeps the groups apart.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Row = Mapping[str, Any]
"""A row of ``overrides``: sequence, kind, pin_id, other, left, forgets."""


class Said(NamedTuple):
    """What holds: pairs of pin ids that are together, pairs that are apart, pins that are blocked:
    alone for ever, and their links count for nothing."""

    together: list[tuple[str, str]]
    apart: list[tuple[str, str]]
    blocked: list[str]


class Ruling(NamedTuple):
    """What holds between live pins, as ordinals: int64 [k, 2], [m, 2], [b].

    ``together``: chains, so that the components of these pairs are the groups. ``apart``: for two
    groups that are apart one pair, of their oldest pins, or the pairs of their oldest and newest.
    """

    together: Int64
    apart: Int64
    blocked: Int64


def in_force(rows: Iterable[Row]) -> list[Row]:
    """Rows that hold, by sequence: those that no other of them forgets."""
    rows = sorted(rows, key=lambda row: row["sequence"])
    forgotten = {row["forgets"] for row in rows if row["kind"] == "forget"}
    return [row for row in rows if row["kind"] != "forget" and row["sequence"] not in forgotten]


def said_by(rows: Iterable[Row]) -> Said:
    """What rows say, all together."""
    said = Said([], [], [])
    for row in in_force(rows):
        if row["kind"] in ("link", "move"):
            said.together.append((row["pin_id"], row["other"]))
        if row["kind"] == "unlink":
            said.apart.append((row["pin_id"], row["other"]))
        if row["kind"] == "move" and row["left"] is not None:
            said.apart.append((row["pin_id"], row["left"]))
        if row["kind"] == "block":
            said.blocked.append(row["pin_id"])
    return said


def named_by(rows: Iterable[Row], sequences: Collection[int]) -> set[str]:
    """The pins that some of the rows are about; of a row that forgets, those of the forgotten."""
    by_sequence = {row["sequence"]: row for row in rows}
    chosen = [by_sequence[sequence] for sequence in sequences]
    chosen += [by_sequence[row["forgets"]] for row in chosen if row["kind"] == "forget"]
    names = {row[column] for row in chosen for column in ("pin_id", "other", "left")}
    return names - {None}


class Groups:
    """Groups of pins, and which of them are kept apart. A pin nobody named is a group of itself."""

    def __init__(self, said: Said) -> None:
        self._number: dict[str, int] = {}
        self._members: dict[int, list[str]] = {}
        self._apart: dict[int, set[int]] = {}
        for pair in said.together:
            self.join(*pair)
        for pair in said.apart:
            self.part(*pair)

    def of(self, pin_id: str) -> list[str]:
        """The pins of a pin's group."""
        return self._members[self._of(pin_id)]

    def apart_from(self, pin_id: str) -> Iterator[list[str]]:
        """The groups that are kept apart from a pin's."""
        return (self._members[other] for other in self._apart[self._of(pin_id)])

    def apart(self) -> Iterator[tuple[list[str], list[str]]]:
        """All pairs of groups that are kept apart."""
        for one, others in self._apart.items():
            for other in others:
                if one <= other:
                    yield self._members[one], self._members[other]

    def together(self) -> Iterator[list[str]]:
        """The groups of several pins."""
        return (members for members in self._members.values() if len(members) > 1)

    def join(self, left: str, right: str) -> None:
        """Two pins are together: their groups are one, which takes what kept them apart."""
        keep, gone = self._of(left), self._of(right)
        if keep == gone:
            return
        if len(self._members[keep]) < len(self._members[gone]):
            keep, gone = gone, keep
        members = self._members.pop(gone)
        self._members[keep] += members
        self._number.update(dict.fromkeys(members, keep))
        for other in self._apart.pop(gone):
            self._apart[other].discard(gone)
            self._apart[other].add(keep)
            self._apart[keep].add(other)

    def part(self, left: str, right: str) -> None:
        """Two pins, and with them their groups, are apart."""
        one, other = self._of(left), self._of(right)
        self._apart[one].add(other)
        self._apart[other].add(one)

    def _of(self, pin_id: str) -> int:
        if pin_id not in self._number:
            number = self._number[pin_id] = len(self._number)
            self._members[number], self._apart[number] = [pin_id], set()
        return self._number[pin_id]


def between(said: Said, live: Mapping[str, int]) -> Ruling:
    """What holds between live pins, ``live``: pin id -> ordinal, at least of those named."""
    groups = Groups(said)
    chains = [pair for group in groups.together() for pair in pairwise(here_of(group, live))]
    blocked = np.array(here_of(set(said.blocked), live), np.int64)
    return Ruling(_as_pairs(chains), walls(groups, live), blocked)


def walls(groups: Groups, live: Mapping[str, int]) -> Int64:
    """Pairs of live pins, int64 [m, 2], that keep groups apart whose live pins are together.

    The oldest pins of the two, and the newest: one of these may be just about to come.
    """
    found = [
        (left, right)
        for one, other in groups.apart()
        for left in _ends(here_of(one, live))
        for right in _ends(here_of(other, live))
    ]
    return _as_pairs(found)


def here_of(pin_ids: Iterable[str], live: Mapping[str, int]) -> list[int]:
    """The ordinals of those pins that are live, ascending."""
    return sorted(live[pin_id] for pin_id in pin_ids if pin_id in live)


def _as_pairs(pairs: list[tuple[int, int]]) -> Int64:
    """int64 [n, 2]."""
    return np.array(pairs, np.int64).reshape(-1, 2)


def _ends(ordinals: list[int]) -> list[int]:
    return ordinals if len(ordinals) < 2 else [ordinals[0], ordinals[-1]]
