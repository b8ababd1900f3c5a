"""The committed tables as an outbox: which changes of membership follow what was sent last.

Steps lead from one position to the next: a batch, or the switch to another generation. What a step
holds is a function of the tables, and of the position that it starts from; a step that was cut off
is made again with the same changes under the same sequences.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from neardup.clusters.changes import NAMES, Int64, Moves, Standings
from neardup.clusters.fold import NOBODY
from neardup.clusters.ledger import LOG_ORDER, covered_batch
from neardup.schemas.changes import ClusterChange
from neardup.schemas.lake import Lake
from neardup.schemas.views import memberships

_NUMBERS = ["ordinal", "cluster_id", "head_ordinal"]
_COLUMNS = ["pin_id", "head", *_NUMBERS]
_AT_ONCE = 10_000


class Position(msgspec.Struct, frozen=True):
    """A moment of the tables: which row of ``generations`` publishes what, up to which batch."""

    publication: int
    generation: int
    batch_seq: int


NOWHERE = Position(-1, -1, -1)


class Progress(msgspec.Struct, frozen=True):
    """What was sent to the end, and the step that was begun since, if any."""

    sent: Position = NOWHERE
    sending: Position | None = None


class Step:
    """The changes that lead to a position, in chunks."""

    def __init__(self, to: Position, rows: pa.Table, moves: Moves) -> None:
        self.to = to
        self._rows = rows
        self._moves = moves

    def __len__(self) -> int:
        return len(self._moves.rows)

    def chunks(self) -> Iterator[list[ClusterChange]]:
        for begin in range(0, len(self), _AT_ONCE):
            rows, kinds, previous = (column[begin : begin + _AT_ONCE] for column in self._moves)
            changed = self._rows.take(pa.array(rows)).to_pylist()
            yield [
                self._change(begin + i, row, NAMES[kind], before)
                for i, (row, kind, before) in enumerate(
                    zip(changed, kinds.tolist(), previous.tolist(), strict=True)
                )
            ]

    def _change(self, number: int, row: dict[str, Any], kind: str, before: int) -> ClusterChange:
        return ClusterChange(
            pin_id=row["pin_id"],
            change=kind,  # type: ignore[arg-type]
            cluster_id=row["cluster_id"],
            head=row["head"],
            previous=None if before == NOBODY else before,
            sequence=(self.to.publication, self.to.batch_seq, number),
            generation=self.to.generation,
        )


class Outbox:
    """Reads the steps one after the other. Memory: 9 bytes a pin, and the rows of one step."""

    def __init__(self, lake: Lake, progress: Progress) -> None:
        self._lake = lake
        self._at = progress.sent
        self._begun = progress.sending
        self._standings = self._restored()

    def behind(self) -> int:
        """How many batches with changes wait, the switch to another generation counted as one."""
        return len(self._waiting()) + (self._published()[0] != self._at.publication)

    def next_step(self) -> Step | None:
        """The step after the last one, or None if all is sent."""
        to = self._begun or self._next_position()
        if to is None:
            return None
        ended = self._succeed(to.batch_seq)
        same = to.publication == self._at.publication
        rows = self._batch(to) if same else self._whole(to, ended)
        self._at, self._begun = to, None
        return Step(to, rows, self._take(rows))

    def _take(self, rows: pa.Table) -> Moves:
        columns = (pc.fill_null(rows[name], NOBODY).to_numpy() for name in _NUMBERS)
        return self._standings.step(*columns)

    def _published(self) -> tuple[int, int]:
        """(sequence, generation) of the row that says what readers see."""
        return self._lake.publication() or (NOWHERE.publication, NOWHERE.generation)

    def _next_position(self) -> Position | None:
        publication, generation = self._published()
        if publication != self._at.publication:
            covered = covered_batch(self._lake, generation)
            return Position(publication, generation, max(covered, self._at.batch_seq))
        waiting = self._waiting()
        return Position(publication, generation, int(waiting[0])) if len(waiting) else None

    def _waiting(self) -> Int64:
        """Numbers of the batches after the last one that changed memberships, ascending."""
        after = (ds.field("generation") == self._at.generation) & (
            ds.field("batch_seq") > self._at.batch_seq
        )
        rows = self._lake.read("clusters", ["batch_seq"], after)
        return np.unique(rows["batch_seq"].to_numpy())

    def _batch(self, to: Position) -> pa.Table:
        of_batch = (ds.field("generation") == to.generation) & (
            ds.field("batch_seq") == to.batch_seq
        )
        return self._lake.read("clusters", _COLUMNS, of_batch).sort_by("ordinal").combine_chunks()

    def _whole(self, to: Position, ended: pa.Table) -> pa.Table:
        """All memberships at a position, and a row without cluster for each pin that is gone."""
        members = self._members(to)
        gone = np.setdiff1d(self._standings.live(), members["ordinal"].to_numpy())
        left = ended.filter(pc.is_in(ended["previous"], pa.array(gone)))
        nowhere = pa.table({"pin_id": left["pin_id"], "ordinal": left["previous"]})
        return pa.concat_tables([members, nowhere], promote_options="default").combine_chunks()

    def _members(self, at: Position) -> pa.Table:
        columns = ", ".join(_COLUMNS)
        return self._lake.sql(
            f"SELECT {columns} FROM ({memberships(str(at.generation), at.batch_seq)}) "
            "ORDER BY ordinal"
        )

    def _succeed(self, through: int) -> pa.Table:
        """New versions stand where the ones before them stood; the rows that ended a version."""
        since = (ds.field("batch_seq") > self._at.batch_seq) & (ds.field("batch_seq") <= through)
        if self._at == NOWHERE:
            since = ds.scalar(False)  # nobody stands anywhere
        columns = ["pin_id", "kind", "ordinal", "previous", *(name for name, _ in LOG_ORDER)]
        rows = self._lake.read("pins", columns, since & ds.field("kind").isin(["add", "delete"]))
        ended = rows.filter(rows["previous"].is_valid())
        rows = rows.filter(pc.is_in(rows["pin_id"], ended["pin_id"])).sort_by(LOG_ORDER)
        self._standings.succeed(*_successions(rows.to_pylist()))
        return ended

    def _restored(self) -> Standings:
        """As it was at the position that was sent last."""
        standings, at = Standings(), self._at
        if at == NOWHERE:
            return standings
        if self._is_gone(at.generation) or (self._begun and self._is_gone(self._begun.generation)):
            standings.forget(self._announced(self._begun or at))
            self._at = Position(NOWHERE.publication, at.generation, at.batch_seq)
            self._begun = None
            return standings
        members = self._members(at)
        standings.step(*(members[name].to_numpy() for name in _NUMBERS))
        return standings

    def _is_gone(self, generation: int) -> bool:
        """Whether a generation's rows were removed: compaction keeps the last ones only."""
        rows = self._lake.dataset("clusters").count_rows(
            filter=ds.field("generation") == generation
        )
        return not rows and generation != self._published()[1]

    def _announced(self, through: Position) -> Int64:
        """Pin versions that consumers may know: added until then and not ended at ``sent``."""
        added = self._lake.read(
            "pins",
            ["ordinal"],
            (ds.field("kind") == "add") & (ds.field("batch_seq") <= through.batch_seq),
        )
        ended = self._lake.read(
            "pins",
            ["previous"],
            ds.field("kind").isin(["add", "delete"])
            & (ds.field("batch_seq") <= self._at.batch_seq)
            & ds.field("previous").is_valid(),
        )
        return np.setdiff1d(added["ordinal"].to_numpy(), ended["previous"].to_numpy())


def _successions(rows: list[dict[str, Any]]) -> tuple[Int64, Int64]:
    """Versions of pins and the ones after them, int64 [n] each, from the log in its order.

    A pin that was deleted may have come again.
    """
    deleted: dict[str, int] = {}
    pairs: list[tuple[int, int]] = []
    for row in rows:
        before = row["previous"]
        if row["kind"] == "delete":
            if before is not None:
                deleted[row["pin_id"]] = before
            continue
        if before is None:
            before = deleted.pop(row["pin_id"], NOBODY)
        if before != NOBODY:
            pairs.append((before, row["ordinal"]))
    older, newer = np.array(pairs, np.int64).reshape(-1, 2).T
    return older, newer
