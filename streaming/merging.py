"""Segments are merged beside the stream.

The stream flushes its memtable on a batch's path, and that is all it does there. Merging, and
building a range again whose pins have ended, happens in a thread of its own: from what is indexed
when it begins, into a new segment of the lake, which the stream takes over between two batches.
What has changed in the meantime the stream knows (``State.adopt``): so a segment may be late, but
never wrong, and what is found does not depend on when it came.
"""

import logging
import time
from collections.abc import Callable
from threading import Lock

import numpy as np
import numpy.typing as npt

from neardup.index.lake_segments import stored_segments, write_segment
from neardup.index.policy import Change, Span, next_span
from neardup.index.segment import Segment, SegmentName, build_segment
from neardup.infra.background import Background
from neardup.schemas.crash import crash_point
from neardup.schemas.lake import Lake
from neardup.streaming.segments import open_segment
from neardup.streaming.state import State

log = logging.getLogger(__name__)

Int64 = npt.NDArray[np.int64]

TURN_SECONDS = 1.0
RETIRED_SECONDS = 600.0
"""How long the rows of a segment that was replaced stay: a reader that has listed it may still
be loading it."""


class Merging(Background):
    """Merges segments while its ``with`` block runs; ``between_batches`` keeps the stream out.

    A failure is logged and tried again; a merge that was killed has left nothing that counts. When
    a segment is larger than any before, ``review`` says what the planner thinks of the lake's plan.
    """

    def __init__(
        self, state: State, between_batches: Lock, flush_pins: int, review: Callable[[], str]
    ) -> None:
        super().__init__(self._take_turn, TURN_SECONDS)
        self._state = state
        self._lock = between_batches
        self._flush_pins = flush_pins
        self._review = review
        self._largest = max((_length(name) for name in state.segment_ids), default=0)
        # neither delta-rs handles nor caches are shared between threads
        self._lake = Lake(state.lake.path)
        self._cache = state.cache.of_another_thread()
        self._retired: list[tuple[float, str]] = [
            (time.monotonic(), segment_id) for segment_id in self._superseded()
        ]

    def _take_turn(self) -> None:
        try:
            span = self._next_span()
            if span is not None:
                self._replace(span)
            self._remove_retired()
        except Exception:
            log.exception("merging failed; it is tried again")

    def _next_span(self) -> Span | None:
        with self._lock:
            segment_ids = list(self._state.segment_ids)
            masked, strays = self._state.masked, self._state.strays
        changes = {
            SegmentName.of(segment_id).span: Change(
                self._segment(segment_id).n, _count(masked, segment_id), _count(strays, segment_id)
            )
            for segment_id in segment_ids
        }
        return next_span(changes, self._flush_pins)

    def _segment(self, segment_id: str) -> Segment:
        return open_segment(self._lake, self._cache, segment_id)

    def _replace(self, span: Span) -> None:
        begin = time.perf_counter()
        state = self._state
        with self._lock:
            gone = [name for name in state.segment_ids if _inside(name, span)]
            revision = revision_of(span, gone)
            indexed, live = state.exemplars.indexed(*span), state.exemplars.live(*span)
        hashes = _hashes_of(live, [self._segment(segment_id) for segment_id in gone])
        signatures = state.store.signatures(indexed)
        built = build_segment(span, indexed, signatures, hashes, live, state.plan, revision)
        crash_point("merge.built")
        write_segment(self._lake, built)
        crash_point("merge.written")
        self._cache.open(built.segment_id, lambda: built.blocks)  # decoded off the batch's path
        crash_point("merge.decoded")
        with self._lock:
            state.adopt([built.segment_id])
        now = time.monotonic()
        self._retired += [(now, segment_id) for segment_id in gone]
        log.info(
            "segment %s: %d pins indexed of %d, in place of %d segments, %.1f s",
            built.segment_id,
            len(indexed),
            span[1] - span[0],
            len(gone),
            time.perf_counter() - begin,
        )

        if span[1] - span[0] > self._largest:
            self._largest = span[1] - span[0]
            log.info(self._review())

    def _superseded(self) -> list[str]:
        return sorted(set(stored_segments(self._lake)) - set(self._state.segment_ids))

    def _remove_retired(self) -> None:
        due = time.monotonic() - RETIRED_SECONDS
        old = [segment_id for since, segment_id in self._retired if since <= due]
        if old:
            self._lake.remove_segments(old)
            self._retired = [entry for entry in self._retired if entry[0] > due]


def revision_of(span: Span, segment_ids: list[str]) -> int:
    """The revision of a segment that is built over ``span`` in place of these."""
    same = [name for name in map(SegmentName.of, segment_ids) if name.span == span]
    return max((name.revision + 1 for name in same), default=0)


def _hashes_of(ordinals: Int64, segments: list[Segment]) -> npt.NDArray[np.uint64]:
    """Id hashes uint64 [n, 2] of pins that the segments know: hashing them again would be slow."""
    known = np.concatenate([segment.id_ordinals for segment in segments])
    hashes = np.concatenate([segment.sorted_ids for segment in segments])
    order = np.argsort(known)
    found: npt.NDArray[np.uint64] = hashes[order[np.searchsorted(known[order], ordinals)]]
    return found


def _inside(segment_id: str, span: Span) -> bool:
    name = SegmentName.of(segment_id)
    return span[0] <= name.first and name.end <= span[1]


def _length(segment_id: str) -> int:
    first, end = SegmentName.of(segment_id).span
    return end - first


def _count(ordinals: Int64, segment_id: str) -> int:
    begin, end = np.searchsorted(ordinals, SegmentName.of(segment_id).span)
    return int(end - begin)
