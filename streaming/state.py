"""What the driver holds between two batches. All of it can be rebuilt from the tables.

Per pin: 24 bytes of fold in memory; signature and id in memory-mapped files (``index.store``).
Per memtable pin (at most ``flush_pins`` and a batch): a dict entry, about 200 bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from neardup.clusters.evidence import Evidence
from neardup.clusters.fold import Fold
from neardup.clusters.ledger import catch_up, load_store, restore
from neardup.index.cache import SegmentCache
from neardup.index.ids import id_hashes
from neardup.index.segment import Segment
from neardup.index.store import PinStore
from neardup.schemas.errors import StreamError
from neardup.schemas.lake import Lake, segment_blocks


@dataclass
class State:
    """The driver's memory of the log up to and including batch ``batch_seq - 1``.

    ``positions``: Kafka partition -> last offset whose decision is in ``pins``.
    ``quarantined``: source positions beyond those that are already in ``quarantine``.
    ``memtable``: pin id -> newest ordinal, for pins from ``memtable_first`` on.
    """

    lake: Lake
    cache: SegmentCache
    store: PinStore
    fold: Fold
    topic_id: str
    batch_seq: int = 0
    memtable_first: int = 0
    positions: dict[int, int] = field(default_factory=dict)
    quarantined: set[tuple[int, int]] = field(default_factory=set)
    memtable: dict[str, int] = field(default_factory=dict)
    segment_ids: list[str] = field(default_factory=list)

    @property
    def next_ordinal(self) -> int:
        return len(self.store)

    def segment(self, segment_id: str) -> Segment:
        return self.cache.open(segment_id, partial(segment_blocks, self.lake.path, segment_id))

    def find(self, pin_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """The newest ordinal of each pin id, int64 [n]; -1 where the id is new."""
        found = np.array([self.memtable.get(pin_id, -1) for pin_id in pin_ids], np.int64)
        hashes = id_hashes(pin_ids)
        for segment_id in reversed(self.segment_ids):
            unknown = np.flatnonzero(found < 0)
            if not len(unknown):
                break
            found[unknown] = self.segment(segment_id).find_ids(hashes[unknown])
        return found

    def forget_flushed(self, end: int) -> None:
        """The memtable now begins at ordinal ``end``."""
        self.memtable = {pin: ordinal for pin, ordinal in self.memtable.items() if ordinal >= end}
        self.memtable_first = end


def rebuild(
    lake: Lake, topic_id: str, evidence: Evidence, cache: SegmentCache, directory: Path
) -> State:
    """The state after the last batch in ``pins``, whatever was lost on the way.

    A batch that is in ``pins`` but not yet in ``clusters`` is finished here. Raises StreamError if
    the log was written from another topic.
    """
    store = load_store(lake, PinStore(directory))
    fold, through = restore(lake, lake.current_generation(), evidence, store)
    catch_up(lake, fold, through, store)
    state = State(lake, cache, store, fold, topic_id)
    _read_positions(state)
    _read_quarantined(state)
    _read_segments(state)
    for ordinal in range(state.memtable_first, len(store)):
        state.memtable[store.pin_id(ordinal)] = ordinal
    return state


def _read_positions(state: State) -> None:
    rows = state.lake.rows(
        """SELECT topic_id, partition, max("offset") AS last, max(batch_seq) AS batch_seq
        FROM pins GROUP BY topic_id, partition"""
    )
    others = {row["topic_id"] for row in rows} - {state.topic_id}
    if others:
        raise StreamError(
            f"The log in {state.lake.path} was written from topic {others.pop()}, but the topic of "
            f"that name is now {state.topic_id}: it was re-created. Point kafka.topic at the old "
            "topic, or give the new one a lake of its own."
        )
    state.positions = {row["partition"]: row["last"] for row in rows}
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


def _read_segments(state: State) -> None:
    rows = state.lake.read("segments", ["segment_id", "end_ordinal"])
    ends = dict(zip(rows["segment_id"].to_pylist(), rows["end_ordinal"].to_pylist(), strict=True))
    state.segment_ids = sorted(ends, key=lambda segment_id: ends[segment_id])
    state.memtable_first = max(ends.values(), default=0)
