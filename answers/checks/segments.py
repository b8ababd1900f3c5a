"""Checks of `segments`, block by block, against the log."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.dataset as ds

from neardup.answers.checks.log import replay
from neardup.answers.checks.snapshot import EXAMPLES, NEVER, Snapshot, Violations
from neardup.index.ids import id_hashes
from neardup.index.policy import live_segments
from neardup.index.segment import Segment, SegmentName, decode_segment
from neardup.index.store import stacked
from neardup.index.terms import TermPlan
from neardup.schemas.errors import SegmentError


def plans(snapshot: Snapshot) -> Violations:
    wrong = []
    rows = snapshot.rows("SELECT sequence, plan, version FROM plans ORDER BY sequence")
    for number, row in enumerate(rows):
        try:
            version = TermPlan.from_json(row["plan"]).version
        except (ValueError, TypeError) as error:
            version = f"not readable ({error})"
        if row["sequence"] != number or row["version"] != version:
            wrong.append({**row, "number": number, "version_of_plan": version})
    return Violations(len(wrong), wrong[:EXAMPLES])


def spans(snapshot: Snapshot) -> Violations:
    """The searched segments cover the ordinals from 0 on, one after the other; the memtable begins
    where the last one ends. Their rows say what their ids say, and each block is there once."""
    wrong = _misnamed(snapshot)
    if wrong.count:
        return wrong
    found, end = [], 0
    for segment_id in _searched(snapshot):
        name = SegmentName.of(segment_id)
        if name.first != end:
            found.append({"segment_id": segment_id, "begins_at": name.first, "instead_of": end})
        end = name.end
    if end > snapshot.pins:
        found.append({"segment_id": segment_id, "ends_at": end, "pins": snapshot.pins})
    return Violations(len(found), found[:EXAMPLES])


def _misnamed(snapshot: Snapshot) -> Violations:
    return snapshot.offenders(
        r"""SELECT segment_id, block, min(first_ordinal) AS first_ordinal,
               max(end_ordinal) AS end_ordinal, count(*) AS rows
        FROM segments GROUP BY segment_id, block
        HAVING count(*) > 1 OR NOT coalesce(
            regexp_full_match(segment_id, '\d{12}-\d{12}-[0-9a-f]{8}-\d{3,}')
            AND try_cast(split_part(segment_id, '-', 1) AS BIGINT) = min(first_ordinal)
            AND try_cast(split_part(segment_id, '-', 2) AS BIGINT) = max(end_ordinal)
            AND min(first_ordinal) < max(end_ordinal), false)
        ORDER BY segment_id, block"""
    )


def blocks(snapshot: Snapshot) -> Violations:
    """Every block of the searched segments is whole, by its checksum, and fits the others."""
    found = []
    for segment_id in _searched(snapshot):
        try:
            _decoded(snapshot, segment_id)
        except SegmentError as damage:
            found.append({"segment_id": segment_id, "said": str(damage)})
    return Violations(len(found), found[:EXAMPLES])


def contents(snapshot: Snapshot) -> Violations:
    """Segments and memtable together are the live indexed pins.

    The memtable is what no segment holds, so what can be wrong is a segment: it lacks a pin that
    was indexed when it was built, or an id; it holds what never was indexed, or other bits.
    """
    exemplars, ever = replay(snapshot)
    indexed = np.zeros(snapshot.pins, np.bool_)
    indexed[exemplars.indexed(0, snapshot.pins)] = True
    since_arrival = indexed & _indexed_at_arrival(snapshot)
    live = snapshot.lives.ended == NEVER
    found: list[dict[str, Any]] = []
    for segment_id in _searched(snapshot):
        segment = _decoded(snapshot, segment_id)
        for ordinal, said in _differences(snapshot, segment, ever, since_arrival, live):
            found.append({"segment_id": segment_id, "ordinal": ordinal, "wrong": said})
    return Violations(len(found), found[:EXAMPLES])


def _indexed_at_arrival(snapshot: Snapshot) -> npt.NDArray[np.bool_]:
    own = np.zeros(snapshot.pins, np.bool_)
    query = f"SELECT ordinal FROM {snapshot.log} WHERE kind = 'add' AND exemplar IS NULL"
    for batch in snapshot.batches(query):
        own[batch["ordinal"].to_numpy()] = True
    return own


def _differences(
    snapshot: Snapshot,
    segment: Segment,
    ever: npt.NDArray[np.bool_],
    since_arrival: npt.NDArray[np.bool_],
    live: npt.NDArray[np.bool_],
) -> Iterator[tuple[int, str]]:
    """(ordinal, what is wrong with it) for a segment, against the log."""
    span = slice(segment.first, segment.end)
    held = np.zeros(segment.end - segment.first, np.bool_)
    held[segment.ordinals - segment.first] = True
    for wrong, said in (
        (since_arrival[span] & ~held, "it is indexed, and the segment does not hold it"),
        (held & ~ever[span], "the segment holds it, and it never was indexed"),
    ):
        for at in np.flatnonzero(wrong).tolist():
            yield segment.first + at, said
    inside = (ds.field("ordinal") >= segment.first) & (ds.field("ordinal") < segment.end)
    inside &= ds.field("signature").is_valid()  # purged pins have none
    for batch in snapshot.dataset("pins").to_batches(
        columns=["ordinal", "pin_id", "signature"], filter=inside
    ):
        ordinals = batch["ordinal"].to_numpy()
        lost = live[ordinals] & (
            segment.find_ids(id_hashes(batch["pin_id"].to_pylist())) != ordinals
        )
        for ordinal in ordinals[lost].tolist():
            yield ordinal, "its pin_id does not lead to it"
        here = held[ordinals - segment.first]
        signatures = stacked(batch["signature"].to_pylist())
        bits = segment.signatures_of(ordinals[here])
        for ordinal in ordinals[here][(bits != signatures[here]).any(axis=1)].tolist():
            yield ordinal, "its signature there is another one"


def _searched(snapshot: Snapshot) -> list[str]:
    """The segments that the stream would search: those of the newest plan."""
    plan = snapshot.value("SELECT max_by(version, sequence) FROM plans")
    rows = snapshot.rows("SELECT DISTINCT segment_id FROM segments")
    return live_segments((row["segment_id"] for row in rows), plan or "")


def _decoded(snapshot: Snapshot, segment_id: str) -> Segment:
    """A segment, its arrays in files. Its blocks are in memory: some 370 bytes a pin of it."""

    def allocate(name: str, shape: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
        if 0 in shape:  # nothing can be mapped
            return np.empty(shape, dtype)
        return np.memmap(snapshot.directory / f"segment-{name}", dtype, "w+", shape=shape)

    return decode_segment(segment_id, _stored(snapshot, segment_id), allocate)


def _stored(snapshot: Snapshot, segment_id: str) -> dict[str, bytes]:
    rows = snapshot.dataset("segments").to_table(
        columns=["block", "payload"], filter=ds.field("segment_id") == segment_id
    )
    return dict(zip(rows["block"].to_pylist(), rows["payload"].to_pylist(), strict=True))
