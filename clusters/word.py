"""People's word, kept true in a fold while the log goes by.

After every row of the log the pins of a group that are live stand in one cluster, and groups that
are kept apart in different ones. A statement changes what stands at once, by the least that makes
it true; the next compaction weighs the rest anew. A pin that arrives under a statement that was
made before is put where the statement says.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from neardup.clusters.attach import Batch
from neardup.clusters.fold import NOBODY, Fold, decreed_id
from neardup.clusters.overrides import (
    Groups,
    Row,
    here_of,
    in_force,
    named_by,
    said_by,
    walls,
)

Int64 = npt.NDArray[np.int64]
Find = Callable[[Sequence[str]], Int64]
"""The newest ordinal of each pin id, int64 [n]; -1 for none. It may have ended."""


class Word:
    """What people said to a fold, and where the pins are that they named.

    Rows of ``overrides`` are first ``learn``-ed, which only looks their pins up, and hold once
    they are ``heard``: at their place in the log.
    """

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        self._rows: dict[int, Row] = {}
        self._heard: dict[int, Row] = {}
        self._at: dict[str, int] = {}
        self._names: set[str] = set()
        self._hold()

    @property
    def known(self) -> int:
        """The last sequence that was learned; -1: none."""
        return max(self._rows, default=-1)

    @property
    def heard(self) -> int:
        """The last sequence that was heard; -1: none."""
        return max(self._heard, default=-1)

    @property
    def names(self) -> set[str]:
        """The pins that rows name."""
        return self._names

    def learn(self, rows: Iterable[Row], find: Find) -> None:
        """Rows that will be heard, and where their pins are before the next row of the log."""
        learned = {row["sequence"]: row for row in rows}
        self._rows.update(learned)
        new = sorted(named_by(self._rows.values(), learned) - self._names)
        self._names.update(new)
        for pin_id, ordinal in zip(new, find(new).tolist() if new else (), strict=True):
            if ordinal >= 0 and self._fold.is_live(ordinal):
                self._at[pin_id] = ordinal

    def recall(self, sequences: Iterable[int]) -> None:
        """Rows that were heard before this fold was made, which has them all come true."""
        self._heard.update({sequence: self._rows[sequence] for sequence in sequences})
        self._hold()

    def hear(self, sequence: int) -> None:
        """A row holds from here on, and what stands is changed so that it is true."""
        row = self._heard[sequence] = self._rows[sequence]
        if row["kind"] == "forget":
            return self._hold()
        cluster_id = decreed_id(self._fold.generation, sequence)
        if row["kind"] == "link":
            self._link(row["pin_id"], row["other"], cluster_id)
        if row["kind"] == "move":
            self._move(row["pin_id"], row["other"], cluster_id)
        if row["kind"] == "unlink":
            self._unlink(row["pin_id"], row["other"], cluster_id)
        if row["kind"] == "move" and row["left"] is not None:
            self._unlink(row["pin_id"], row["left"], cluster_id)
        if row["kind"] == "block":
            self._block(row["pin_id"], cluster_id)
        self._ruled = False

    def fold(self, rows: Batch) -> None:
        """Rows about pins that nobody named."""
        if len(rows.started):
            self._ruling().fold(rows)

    def fold_named(self, pin_id: str, row: Batch) -> None:
        """One row about a pin that people named: it leaves, comes, or is another picture now."""
        ordinal = int(row.started[0])
        self._at.pop(pin_id, None)
        if ordinal != NOBODY:
            self._at[pin_id] = ordinal
        if pin_id in self._blocked or any(self._groups.apart_from(pin_id)):
            self._ruled = False
        self.fold(row)
        if ordinal != NOBODY:
            self._bring(pin_id, ordinal)

    def _hold(self) -> None:
        """Draw everything from the rows that hold now."""
        rows = in_force(self._heard.values())
        said = said_by(rows)
        self._groups, self._blocked = Groups(said), set(said.blocked)
        self._links: dict[str, list[str]] = {}
        for row in rows:
            if row["kind"] == "link":
                self._note_link(row["pin_id"], row["other"])
        self._ruled = False

    def _note_link(self, left: str, right: str) -> None:
        self._links.setdefault(left, []).append(right)
        self._links.setdefault(right, []).append(left)

    def _ruling(self) -> Fold:
        """The fold, which knows who must not come together."""
        if not self._ruled:
            blocked = np.array(here_of(self._blocked, self._at), np.int64)
            self._fold.decree(walls(self._groups, self._at), blocked)
            self._ruled = True
        return self._fold

    def _link(self, left: str, right: str, cluster_id: int) -> None:
        one, other = self._speaker(left), self._speaker(right)
        if NOBODY not in (one, other) and not self._ruling().unite(one, other):
            self._gather(left, right, cluster_id)
        self._note_link(left, right)
        self._groups.join(left, right)

    def _move(self, pin_id: str, to: str, cluster_id: int) -> None:
        one, other = self._speaker(pin_id), self._speaker(to)
        if NOBODY not in (one, other) and self._cluster(one) != self._cluster(other):
            self._gather(pin_id, to, cluster_id)
        self._groups.join(pin_id, to)

    def _gather(self, left: str, right: str, cluster_id: int) -> None:
        """Two groups, but not all of their clusters, come together.

        The first goes to the second, else the second to the first; where both have somebody to
        stay apart from, they found a cluster.
        """
        one, other = self._speaker(left), self._speaker(right)
        if self._may_stand(left, other):
            self._carry(left, other)
        elif self._may_stand(right, one):
            self._carry(right, one)
        else:
            self._fold.isolate(one, cluster_id)
            self._carry(left, one)
            self._carry(right, one)

    def _may_stand(self, pin_id: str, beside: int) -> bool:
        """Whether nobody is in that cluster whom people keep apart from this pin."""
        there = self._cluster(beside)
        kept = (here_of(group, self._at) for group in self._groups.apart_from(pin_id))
        return all(self._cluster(here[0]) != there for here in kept if here)

    def _unlink(self, left: str, right: str, cluster_id: int) -> None:
        one, other = self._speaker(left), self._speaker(right)
        if NOBODY not in (one, other) and self._cluster(one) == self._cluster(other):
            self._fold.part(one, other, cluster_id)
            if self._cluster(one) == cluster_id:
                self._carry(left, one)
            else:
                self._carry(right, other)
        self._groups.part(left, right)

    def _block(self, pin_id: str, cluster_id: int) -> None:
        if pin_id in self._at:
            self._fold.isolate(self._at[pin_id], cluster_id)
        self._blocked.add(pin_id)

    def _bring(self, pin_id: str, ordinal: int) -> None:
        """A pin that has just come is brought to its group: links unite whole clusters again."""
        for other in self._links.get(pin_id, ()):
            if other in self._at and self._ruling().unite(ordinal, self._at[other]):
                return
        others = [here for here in here_of(self._groups.of(pin_id), self._at) if here != ordinal]
        if others:
            self._fold.move(ordinal, others[0])

    def _speaker(self, pin_id: str) -> int:
        """The pin if it is live, else the oldest of its group that is; NOBODY if none is."""
        if pin_id in self._at:
            return self._at[pin_id]
        return min(here_of(self._groups.of(pin_id), self._at), default=NOBODY)

    def _carry(self, pin_id: str, beside: int) -> None:
        for ordinal in here_of(self._groups.of(pin_id), self._at):
            self._fold.move(ordinal, beside)

    def _cluster(self, ordinal: int) -> int:
        return int(self._fold.standing(np.array([ordinal])).cluster_ids[0])
