"""The parts of a lake that are made again from its log, each by itself; every one can be repeated.

What they leave to one another: a later check says what is missing still.
"""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable

from neardup.answers.checks.clusters import unlikely
from neardup.answers.refold import Evidences, fold_anew, refold
from neardup.answers.salvage import replace
from neardup.answers.verify import verify
from neardup.clusters.generations import generation_row
from neardup.clusters.ledger import LOG_ORDER
from neardup.index.exemplars import Exemplars
from neardup.index.from_log import EXEMPLAR_COLUMNS, exemplars_of, segment_of, spans_between
from neardup.index.lake_segments import rows_of, stored_segments
from neardup.index.plans import current_plan, ensure_plan
from neardup.index.policy import Span, live_segments
from neardup.index.segment import SegmentName, decode_segment
from neardup.index.terms import TermPlan
from neardup.schemas.damage import Damage
from neardup.schemas.errors import SegmentError
from neardup.schemas.lake import Lake, segment_blocks
from neardup.schemas.tables import GENERATIONS, MODELS, SEGMENTS

Row = dict[str, Any]

STALE = ".clusters.stale"
"""A file in the lake's folder, while the current generation lacks rows that it began with."""


@dataclass
class Work:
    """A lake whose files are whole, and what its parts are made with; ``aside``: for old tables."""

    lake: Lake
    aside: Path
    evidences: Callable[[Lake], Evidences]
    flush_pins: int
    refolded: bool = False

    def replace(self, name: str, rows: Iterable[pa.Table]) -> None:
        """Put other rows in the place of a table, which is set aside."""
        aside = self.aside
        while (aside / name).exists():
            aside = aside / "again"
        replace(self.lake.path, name, rows, aside)
        self.lake = Lake(self.lake.path)

    def keep(self, name: str) -> None:
        """Set a copy of a table aside, whose rows are about to be deleted."""
        if not (self.aside / name).exists():
            shutil.copytree(self.lake.path / name, self.aside / name)


def plans(work: Work) -> None:
    """One row: a plan that segments have and no row says, else that of the newest row, else the
    default."""
    rows = work.lake.read("plans").sort_by("sequence").to_pylist()
    said = [plan for row in reversed(rows) if (plan := _plan(row["plan"]))]
    built = [plan for name in reversed(stored_segments(work.lake)) if (plan := _of(work, name))]
    found = [plan for plan in built if plan not in said] + said
    work.replace("plans", [])
    if found:
        row = {"sequence": 0, "plan": found[0].to_json(), "version": found[0].version}
        row |= {"reason": "repaired", "written_at": datetime.now(UTC)}
        work.lake.append_rows("plans", [row])
    ensure_plan(work.lake)


def _plan(text: str) -> TermPlan | None:
    try:
        return TermPlan.from_json(text)
    except (ValueError, TypeError):
        return None


def _of(work: Work, segment_id: str) -> TermPlan | None:
    try:
        return decode_segment(segment_id, segment_blocks(work.lake.path, segment_id)).plan
    except SegmentError:
        return None


def models(work: Work) -> None:
    """Which classifier decided from which batch on, as the log says it; of shadows it says nothing.

    If one is wanted still, the stream takes it into use again.
    """
    rows = work.lake.rows(
        """SELECT model AS version, min(batch_seq) AS batch_seq FROM (
            SELECT *, count_if(changed) OVER (ORDER BY batch_seq, "offset") AS run FROM (
                SELECT batch_seq, "offset", model,
                       model IS DISTINCT FROM lag(model) OVER (ORDER BY batch_seq) AS changed
                FROM pins WHERE kind = 'add'
            )
        ) GROUP BY run, model ORDER BY batch_seq"""
    )
    now = datetime.now(UTC)
    made = [
        {**row, "sequence": number, "role": "stream", "written_at": now}
        for number, row in enumerate(rows)
    ]
    work.replace("models", [pa.Table.from_pylist(made, schema=MODELS.schema)])


def generations(work: Work) -> None:
    """Rows that can be, in their order; where one is lost, one that changes nothing.

    The current generation is then the one that the stream wrote to last.
    """
    lake = work.lake
    stored = lake.read("generations").sort_by("sequence").to_pylist()
    last = lake.rows("SELECT coalesce(max(batch_seq), -1) AS last FROM pins")[0]["last"]
    held = _held(lake)
    newest = max(held, key=lambda g: (held[g]["folded"], g), default=0)
    out: list[Row] = []
    for row in stored:
        while len(out) < row["sequence"]:
            out.append(_filler(out, row["generation"] - (row["status"] == "prepared"), held))
        if row["sequence"] == len(out) and not unlikely(row, len(out), _known(out), last):
            out.append(row)
    while newest not in _known(out):
        out.append(_filler(out, newest, held))
    if not out or _current(out) != newest:
        out.append(_row(len(out), newest, "published", held))
    gone = _known(out) - {row["generation"] for row in stored if row["generation"] in held}
    for generation in sorted(gone - {newest}):
        out.append(_row(len(out), generation, "removed", held))
    work.replace("generations", [pa.Table.from_pylist(out, schema=GENERATIONS.schema)])


def _held(lake: Lake) -> dict[int, Row]:
    """Of each generation in `clusters`: the batch that its compaction saw last, as far as its rows
    say it, and the last batch folded into it."""
    rows = lake.rows(
        """SELECT generation, max(batch_seq) AS folded,
               CASE generation WHEN 0 THEN -1 ELSE coalesce(
                   max(batch_seq) FILTER (component IS NOT NULL), min(batch_seq)
               ) END AS through_batch_seq
        FROM clusters GROUP BY generation"""
    )
    return {row.pop("generation"): row for row in rows}


def _filler(out: list[Row], needed: int, held: dict[int, Row]) -> Row:
    """A row in place of a lost one: it prepares what must be known then, or repeats what was."""
    following = max(_known(out), default=-1) + 1
    if not out:
        return _row(0, 0, "published", held)
    if following <= needed:
        return _row(len(out), following, "prepared", held)
    return _row(len(out), _current(out), "published", held)


def _row(sequence: int, generation: int, status: str, held: dict[int, Row]) -> Row:
    found = held.get(generation, {"through_batch_seq": -1})
    return {
        "sequence": sequence,
        "generation": generation,
        "status": status,
        "through_batch_seq": found["through_batch_seq"],
        "written_at": datetime.now(UTC),
    }


def _known(rows: list[Row]) -> set[int]:
    return {row["generation"] for row in rows}


def _current(rows: list[Row]) -> int:
    return [int(row["generation"]) for row in rows if row["status"] == "published"][-1]


def take_back(work: Work) -> None:
    """Delete the rows of batches that `pins` lacks. Other checks see to the other tables."""
    lake = work.lake
    last = lake.rows("SELECT coalesce(max(batch_seq), -1) AS last FROM pins")[0]["last"]
    own = ", ".join(str(g) for g in _held(lake)) or "-1"
    for name, lost in {
        "cluster_history": f"batch_seq > {last} AND generation IN ({own})",
        "clusters": f"batch_seq > {last}",
        "models": f"batch_seq > {last + 1}",
    }.items():
        work.keep(name)
        DeltaTable(str(lake.path / name)).delete(lost)


def clusters(work: Work) -> None:
    """The current generation: what its batches changed is folded again; if that did not help, or
    cannot, the whole log is, into a generation of its own."""
    lake = work.lake
    work.keep("clusters")
    if work.refolded or is_stale(lake.path):
        fold_anew(lake, work.evidences(lake))
        (lake.path / STALE).unlink(missing_ok=True)
        return
    work.refolded = True
    forget_folded(lake.path)
    refold(lake, work.evidences(lake))


def note_stale(lake: Path, damage: Damage) -> None:
    """Note in the lake that rows are lost of what the current generation began with.

    Pins may seem to be where they were before its compaction: no check might tell, and this repair
    may be killed.
    """
    known = bases(lake)
    for file in damage.files:
        base = known.get(int(file.partition.get("generation", -1)))
        first = file.bounds.get("batch_seq", (0, 0))[0]
        if base is not None and base.is_current and first <= base.through:
            (lake / STALE).touch()


def is_stale(lake: Path) -> bool:
    """Whether that is noted, and not mended yet."""
    return (lake / STALE).exists()


def forget_folded(lake: Path) -> None:
    """Delete what batches changed in the current generation, and keep what its compaction wrote."""
    for generation, base in bases(lake).items():
        if base.is_current:
            changed = f"generation = {generation} AND batch_seq > {base.through}"
            DeltaTable(str(lake / "clusters")).delete(changed)


def kept_memberships(lake: Path, damage: Damage) -> str:
    """Which readable rows of a damaged `clusters` stay, as a condition in SQL.

    Those of whole generations, and of the current one what it began with: what its batches changed
    is folded again.
    """
    lost = {file.partition.get("generation") for file in damage.files}
    conditions = [
        f"(generation <> {generation} OR (batch_seq <= {base.through} AND {base.is_current}))"
        for generation, base in bases(lake).items()
        if str(generation) in lost
    ]
    return " AND ".join(conditions) or "true"


def remove_lost(lake: Lake) -> None:
    """Generations that have no row any more are removed ones: nobody can go back to them. The
    stream's own is no such: it is the fold of the whole log."""
    held = _held(lake)
    for generation, base in bases(lake.path).items():
        if not base.is_current and base.through >= 0 and generation not in held:
            generation_row(lake, generation, "removed", through_batch_seq=base.through)


def kept_history(lake: Path) -> str:
    """Which readable rows of a damaged `cluster_history` stay: all but those that are told again
    when the current generation's batches are folded again."""
    known = bases(lake)
    others = ", ".join(str(g) for g, base in known.items() if not base.is_current) or "-1"
    current = ", ".join(str(g) for g, base in known.items() if base.is_current) or "-1"
    rows = DeltaTable(str(lake / "clusters")).to_pyarrow_table(columns=["generation", "batch_seq"])
    own = pc.is_in(rows["generation"], pa.array([g for g, b in known.items() if b.is_current]))
    last = pc.max(rows.filter(pc.invert(own))["batch_seq"]).as_py()
    silent = -1 if last is None else last
    return f"""NOT (generation IN ({current}) AND batch_seq > greatest({silent},
        (SELECT max(batch_seq) FROM salvaged WHERE generation IN ({others}))))"""


class Base(NamedTuple):
    """What a generation began with: the batches up to ``through``."""

    through: int
    is_current: bool


def bases(lake: Path) -> dict[int, Base]:
    """Of each generation in `generations` that is not removed; -1 of the stream's own."""
    table = DeltaTable(str(lake / "generations")).to_pyarrow_table()
    rows = sorted(table.to_pylist(), key=lambda row: row["sequence"])
    current = [row["generation"] for row in rows if row["status"] == "published"][-1:]
    return {
        generation: Base(row["through_batch_seq"], generation in current)
        for generation, row in {row["generation"]: row for row in rows}.items()
        if row["status"] != "removed"
    }


def segments(work: Work) -> None:
    """Whole segments stay, if what they hold is right; between and behind them others are built."""
    lake = work.lake
    plan = current_plan(lake)
    right = "segments" not in {one.check for one in verify(lake.path).outcomes if one.wrong}
    kept = [name for name in live_segments(_sound(lake), plan.version) if right]
    columns = [*EXEMPLAR_COLUMNS, *(name for name, _ in LOG_ORDER)]
    exemplars = exemplars_of(lake.read("pins", columns).sort_by(LOG_ORDER))
    kept = [name for name in kept if SegmentName.of(name).end <= len(exemplars)]
    spans = [SegmentName.of(name).span for name in kept]

    built = spans_between(spans, len(exemplars), work.flush_pins)
    parts = [partial(_stored, lake, name) for name in kept]
    parts += [partial(_built, lake, exemplars, span, plan) for span in built]
    work.replace("segments", (part() for part in parts))


def _stored(lake: Lake, segment_id: str) -> pa.Table:
    return lake.read("segments", SEGMENTS.schema.names, ds.field("segment_id") == segment_id)


def _built(lake: Lake, exemplars: Exemplars, span: Span, plan: TermPlan) -> pa.Table:
    rows = rows_of(segment_of(lake, exemplars, span, plan))
    return pa.Table.from_pylist(rows, schema=SEGMENTS.schema)


def _sound(lake: Lake) -> list[str]:
    """Segments whose names can be and whose blocks are whole."""
    sound = []
    for name in stored_segments(lake):
        try:
            decode_segment(name, segment_blocks(lake.path, name))
        except (SegmentError, ValueError):
            continue
        sound.append(name)
    return sound
