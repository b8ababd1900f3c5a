"""What the driver holds between two batches. All of it can be rebuilt from the tables.

Per pin: 8 bytes of exemplars in memory; in memory-mapped files 24 of fold, 21 a cluster, signature
and id (``clusters.columns``, ``index.store``). Per pin since the last flush (at most ``flush_pins``
and a batch): a dict entry, about 200 bytes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from neardup.clusters.evidence import Evidence
from neardup.clusters.fold import Fold
from neardup.clusters.ledger import LOG_ORDER, Ledger, catch_up, load_store, restore
from neardup.clusters.level import require_level
from neardup.clusters.people import OVERRIDES_TOPIC
from neardup.index.cache import SegmentCache
from neardup.index.exemplars import NOBODY, Exemplars, logged
from neardup.index.ids import id_hashes
from neardup.index.lake_segments import searched_segments
from neardup.index.plans import ensure_plan
from neardup.index.policy import Span, live_segments
from neardup.index.segment import Segment, SegmentBlocks, SegmentName, build_segment
from neardup.index.store import PinStore, looks_of
from neardup.index.terms import TermPlan
from neardup.schemas.errors import LakeError, StreamError
from neardup.schemas.lake import Lake
from neardup.streaming.candidates import Memtable, place
from neardup.streaming.segments import (
    build_again,
    damaged_segments,
    open_segment,
    sound_segments,
)
from neardup.streaming.sources import is_backfill

Int64 = npt.NDArray[np.int64]
Signatures = npt.NDArray[np.uint8]

_NONE = np.empty(0, np.int64)

EVENTS = pa.schema(
    [
        ("kind", pa.string()),
        ("ordinal", pa.int64()),
        ("exemplar", pa.int64()),
        ("previous", pa.int64()),
    ]
)


@dataclass
class State:
    """The driver's memory of the log up to and including batch ``batch_seq - 1``.

    ``positions``: Kafka partition -> last offset whose decision is in ``pins``.
    ``quarantined``: source positions beyond those that are already in ``quarantine``.
    ``segment_ids``: the segments that are searched, by ordinals.
    ``flushed``: one past the last ordinal of the last of them.
    ``recent``: pin id -> newest ordinal, for pins from ``flushed`` on.
    ``strays``: live indexed pins before ``flushed`` that no segment holds: those elected since.
    ``masked``: pins that have ended but that a segment still holds. Both ascend.
    """

    lake: Lake
    cache: SegmentCache
    ledger: Ledger
    plan: TermPlan
    topic_id: str
    exemplars: Exemplars = field(default_factory=Exemplars)
    batch_seq: int = 0
    flushed: int = 0
    positions: dict[int, int] = field(default_factory=dict)
    quarantined: set[tuple[int, int]] = field(default_factory=set)
    recent: dict[str, int] = field(default_factory=dict)
    segment_ids: list[str] = field(default_factory=list)
    strays: Int64 = field(default_factory=_NONE.copy)
    masked: Int64 = field(default_factory=_NONE.copy)

    @property
    def store(self) -> PinStore:
        return self.ledger.store

    @property
    def fold(self) -> Fold:
        return self.ledger.fold

    @property
    def next_ordinal(self) -> int:
        return len(self.store)

    def segment(self, segment_id: str) -> Segment:
        """A segment of the lake. Raises SegmentError, naming it, if a stored block is damaged."""
        return open_segment(self.lake, self.cache, segment_id)

    def find(self, pin_ids: Sequence[str]) -> Int64:
        """The newest ordinal of each pin id, int64 [n]; -1 where no live pin has the id.

        Some ids whose versions have all ended are found too.
        """
        found = np.array([self.recent.get(pin_id, -1) for pin_id in pin_ids], np.int64)
        hashes = id_hashes(pin_ids)
        for segment_id in reversed(self.segment_ids):
            unknown = np.flatnonzero(found < 0)
            if not len(unknown):
                break
            found[unknown] = self.segment(segment_id).find_ids(hashes[unknown])
        return found

    def signature_of(self, ordinal: int) -> Signatures:
        """The signature of a pin, uint8 [1, 128]."""
        return self.store.signatures(slice(ordinal, ordinal + 1))

    def memtable(self) -> Memtable:
        """The live indexed pins that no segment holds."""
        recent = self.exemplars.indexed(self.flushed, self.next_ordinal)
        ordinals = np.concatenate([self.strays, recent])
        return Memtable(ordinals, self.store.signatures(ordinals))

    def apply(self, rows: list[dict[str, Any]], signatures: Signatures) -> None:
        """Take over the next batch, which is in ``pins``; the fold is not touched.

        ``rows`` in the order of the log; ``signatures`` uint8 [adds, 128].
        """
        new = [row for row in rows if row["kind"] == "add"]
        looks = looks_of([row.get("looks") for row in new])
        self.store.extend([row["pin_id"] for row in new], signatures, looks)
        self.recent.update((row["pin_id"], row["ordinal"]) for row in new)
        events = [row for row in rows if row["kind"] != "override"]
        self.positions.update({row["partition"]: row["offset"] for row in events})
        self.replay(pa.Table.from_pylist(rows, schema=EVENTS))
        self.batch_seq += 1

    def replay(self, rows: pa.Table) -> None:
        """Add and end pins as in these rows of the log: kind, ordinal, exemplar, previous."""
        ordinals, exemplars, ended = logged(rows)
        elected = self.exemplars.replay(ordinals, exemplars, ended)
        strays = np.union1d(self.strays, elected[elected < self.flushed])
        self.strays = strays[self.exemplars.is_indexed(strays)]
        self._mask(np.sort(ended[ended != NOBODY]))

    def _mask(self, ended: Int64) -> None:
        for segment_id in self.segment_ids if len(ended) else ():
            held = ended[place(self.segment(segment_id).ordinals, ended) >= 0]
            if len(held):
                self.masked = np.union1d(self.masked, held)

    def build(self, span: Span, revision: int = 0) -> SegmentBlocks:
        """The segment of a range of ordinals, of what is indexed and live in it now."""
        indexed, live = self.exemplars.indexed(*span), self.exemplars.live(*span)
        hashes = id_hashes([self.store.pin_id(ordinal) for ordinal in live.tolist()])
        signatures = self.store.signatures(indexed)
        return build_segment(span, indexed, signatures, hashes, live, self.plan, revision)

    def adopt(self, segment_ids: Iterable[str]) -> None:
        """Search these segments of the lake too, and no longer those whose ranges they cover."""
        before = set(self.segment_ids)
        self.segment_ids = live_segments([*before, *segment_ids], self.plan.version)
        for segment_id in self.segment_ids:
            if segment_id not in before:
                self._adopt(SegmentName.of(segment_id).span, self.segment(segment_id).ordinals)
        self._forget_flushed(SegmentName.of(self.segment_ids[-1]).end if self.segment_ids else 0)

    def mend(self) -> int:
        """Build segments again whose blocks in the lake are damaged; how many there were."""
        damaged = damaged_segments(self.lake, self.segment_ids)
        self.adopt(build_again(self.lake, damaged, self.build))
        return len(damaged)

    def _adopt(self, span: Span, held: Int64) -> None:
        indexed = self.exemplars.indexed(*span)
        missing, gone = indexed[place(held, indexed) < 0], held[~self.exemplars.is_indexed(held)]
        self.strays = np.union1d(_outside(self.strays, span), missing)
        self.masked = np.union1d(_outside(self.masked, span), gone)

    def _forget_flushed(self, end: int) -> None:
        for ordinal in range(self.flushed, end) if self.recent else ():
            pin_id = self.store.pin_id(ordinal)
            if self.recent.get(pin_id) == ordinal:
                del self.recent[pin_id]
        self.flushed = end


def _outside(ordinals: Int64, span: Span) -> Int64:
    return ordinals[(ordinals < span[0]) | (ordinals >= span[1])]


def rebuild(
    lake: Lake, topic_id: str, evidence: Evidence, cache: SegmentCache, directory: Path
) -> State:
    """The state after the last batch in ``pins``, whatever was lost on the way.

    A batch that is in ``pins`` but not yet in ``clusters`` is finished here. Raises StreamError if
    the log was written from another topic, LakeError if it lost its end.
    """
    store = load_store(lake, PinStore(directory))
    plan = ensure_plan(lake)
    require_level(lake, len(store))
    ledger = restore(lake, lake.current_generation(), evidence, store)
    catch_up(lake, ledger)
    state = State(lake, cache, ledger, plan, topic_id)
    _read_positions(state)
    _read_quarantined(state)
    _read_exemplars(state)
    _read_segments(state)
    for ordinal in range(state.flushed, len(store)):
        state.recent[store.pin_id(ordinal)] = ordinal
    return state


def _read_positions(state: State) -> None:
    rows = state.lake.rows(
        """SELECT topic_id, partition, max("offset") AS last, max(batch_seq) AS batch_seq
        FROM pins GROUP BY topic_id, partition"""
    )
    topics = {row["topic_id"] for row in rows if not is_backfill(row["topic_id"])}
    topics.discard(OVERRIDES_TOPIC)
    others = topics - {state.topic_id}
    if others and not is_backfill(state.topic_id):
        raise StreamError(
            f"The log in {state.lake.path} was written from topic {others.pop()}, but the topic of "
            f"that name is now {state.topic_id}: it was re-created. Point kafka.topic at the old "
            "topic, or give the new one a lake of its own."
        )
    own = [row for row in rows if row["topic_id"] == state.topic_id]
    state.positions = {row["partition"]: row["last"] for row in own}
    state.batch_seq = 1 + max((row["batch_seq"] for row in rows), default=-1)


def _read_quarantined(state: State) -> None:
    rows = state.lake.read("quarantine", ["topic_id", "partition", "offset"])
    rows = rows.filter(pc.field("topic_id") == state.topic_id)
    positions = zip(rows["partition"].to_pylist(), rows["offset"].to_pylist(), strict=True)
    state.quarantined = {
        (partition, offset)
        for partition, offset in positions
        if offset > state.positions.get(partition, -1)
    }


def _read_exemplars(state: State) -> None:
    columns = [*EVENTS.names, *(name for name, _ in LOG_ORDER)]
    log = state.lake.read("pins", columns).sort_by(LOG_ORDER)
    try:
        state.replay(log)
    except ValueError as error:
        raise LakeError(
            f"The log in {state.lake.path / 'pins'} contradicts itself: {error} It was changed "
            "from outside. Restore the table from a backup."
        ) from None


def _read_segments(state: State) -> None:
    """Those of the lake's plan; what they do not hold is in the memtable until the next flush."""
    live = searched_segments(state.lake)
    state.adopt(sound_segments(state.lake, state.cache, live, state.build))
