"""Segments of a lake: mended when they are damaged, merged beside the stream, forgotten later."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from neardup.clusters.generations import generation_row
from neardup.index.cache import SegmentCache
from neardup.index.ids import id_hashes
from neardup.index.lake_segments import write_segment
from neardup.index.plans import record_plan
from neardup.index.policy import FAN_OUT
from neardup.index.search import search
from neardup.index.segment import SegmentName
from neardup.index.store import stacked
from neardup.index.terms import TermPlan
from neardup.schemas.lake import Lake
from neardup.streaming import merging
from neardup.streaming.merging import Merging
from neardup.streaming.segments import damaged_segments
from neardup.streaming.state import State, rebuild
from tests.lakes import EVIDENCE, pin

PLAN = TermPlan(bands=4)
PER_SEGMENT = 20

Again = Callable[[], State]


@pytest.fixture
def again(tmp_path: Path) -> Again:
    """A state made from the tables, with no file of another one."""
    made = iter(range(100))

    def make() -> State:
        folder = tmp_path / f"state-{next(made)}"
        folder.mkdir()
        cache = SegmentCache(folder / "cache", 2**30)
        return rebuild(Lake(tmp_path / "lake"), "t", EVIDENCE, cache, folder)

    return make


@pytest.fixture
def state(tmp_path: Path, again: Again) -> State:
    """Five segments of 20 pins, and 10 pins that are in none yet."""
    lake = Lake.create(tmp_path / "lake")
    generation_row(lake, 0, "published", through_batch_seq=-1)
    record_plan(lake, PLAN, "for a test")
    state = again()
    arrive(state, 5 * PER_SEGMENT + 10)
    for first in range(0, 5 * PER_SEGMENT, PER_SEGMENT):
        flush(state, (first, first + PER_SEGMENT))
    return state


def arrive(state: State, n: int, **columns: Any) -> None:
    rows = []
    for ordinal in range(state.next_ordinal, state.next_ordinal + n):
        signature = np.random.default_rng(ordinal).bytes(128)
        row = pin(f"pin-{ordinal}", state.batch_seq, ordinal, ordinal=ordinal, signature=signature)
        rows.append({**row, **columns})
    state.lake.append_rows("pins", rows)
    state.apply(rows, stacked([row["signature"] for row in rows]))


def delete(state: State, ordinals: list[int]) -> None:
    rows = [pin(f"pin-{o}", state.batch_seq, 1000 + o, kind="delete", previous=o) for o in ordinals]
    state.lake.append_rows("pins", rows)
    state.apply(rows, np.empty((0, 128), np.uint8))


def flush(state: State, span: tuple[int, int]) -> None:
    built = state.build(span)
    write_segment(state.lake, built)
    state.adopt([built.segment_id])


def answers(state: State) -> set[int]:
    """The live pins that find themselves, in a segment or in the memtable, each in one place."""
    found = state.memtable().ordinals.tolist()
    gone = set(state.masked.tolist())
    for segment_id in state.segment_ids:
        segment = state.segment(segment_id)
        hits = search(segment, segment.signatures, 0).candidates
        found += [ordinal for ordinal in hits.ordinal.tolist() if ordinal not in gone]
    assert len(found) == len(set(found))
    return set(found)


def damage(state: State, segment_id: str) -> None:
    """Flip a byte of a stored block."""
    lake = state.lake
    rows = lake.read("segments").to_pylist()
    changed = [row for row in rows if row["segment_id"] == segment_id]
    block = next(row for row in changed if row["block"] == "band-002")
    payload = bytearray(block["payload"])
    payload[60] ^= 1
    block["payload"] = bytes(payload)
    lake.remove_segments([segment_id])
    lake.append("segments", pa.Table.from_pylist(changed, lake.read("segments").schema))


def test_a_damaged_segment_is_built_again_at_the_start(state, again, caplog):
    spoilt = state.segment_ids[1]
    expected = answers(state)
    damage(state, spoilt)
    assert list(damaged_segments(state.lake, state.segment_ids)) == [spoilt]
    started = again()
    assert "band-002 of segment" in caplog.text and "built again" in caplog.text
    assert started.segment_ids[1] == f"{spoilt[:-3]}001"
    assert started.segment_ids[::2] == state.segment_ids[::2]
    assert answers(started) == expected and not damaged_segments(started.lake, started.segment_ids)
    assert again().segment_ids == started.segment_ids


def test_damage_that_an_executor_meets_is_mended_in_place(state):
    """The driver has decoded the segment long ago; another host reads the damaged block."""
    expected, spoilt = answers(state), state.segment_ids[3]
    delete(state, [61, 3])
    damage(state, spoilt)
    assert state.mend() == 1 and state.mend() == 0
    assert state.segment_ids[3] == f"{spoilt[:-3]}001"
    assert answers(state) == expected - {61, 3}
    assert state.masked.tolist() == [3], "what was built again holds no pin that has ended"


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(merging, "TURN_SECONDS", 0.01)
    yield


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def review() -> str:
    return "the planner was asked"


def spans(state: State) -> list[tuple[int, int]]:
    return [SegmentName.of(segment_id).span for segment_id in state.segment_ids]


def test_segments_merge_beside_the_stream(state, again, turns, caplog):
    caplog.set_level("INFO", "neardup")
    delete(state, [1, 30])
    expected = answers(state)
    lock = Lock()
    with Merging(state, lock, PER_SEGMENT, review):
        wait_for(lambda: len(state.segment_ids) == 2)
        with lock:
            arrive(state, 3)
    assert spans(state) == [(0, FAN_OUT * PER_SEGMENT), (80, 100)]
    assert answers(state) == expected | {110, 111, 112}
    assert not len(state.masked), "dead pins are gone after the merge"
    assert caplog.messages.count(review()) == 1, "one segment was larger than any before"
    found = state.find([f"pin-{i}" for i in range(112)])
    assert [i for i in range(112) if found[i] != i] == [1, 30]
    assert again().segment_ids == state.segment_ids
    assert answers(again()) == answers(state)


def test_a_range_whose_pins_have_mostly_ended_is_built_again(state, again, turns, monkeypatch):
    monkeypatch.setattr("neardup.index.policy.LEAST_CHANGES", 5)
    with Merging(state, Lock(), PER_SEGMENT, review):
        wait_for(lambda: len(state.segment_ids) == 2)
        delete(state, list(range(80, 88)))
        wait_for(lambda: state.segment_ids[1].endswith("001"))
    assert state.segment(state.segment_ids[1]).n == 12
    assert not len(state.masked)
    assert answers(again()) == answers(state) == set(range(110)) - set(range(80, 88))


def test_what_was_replaced_is_removed_once_no_reader_can_want_it(state, turns, monkeypatch):
    def stored() -> set[str]:
        return set(Lake(state.lake.path).read("segments")["segment_id"].to_pylist())

    before = stored()
    with Merging(state, Lock(), PER_SEGMENT, review):
        wait_for(lambda: len(state.segment_ids) == 2)
        assert before < stored()
        monkeypatch.setattr(merging, "RETIRED_SECONDS", 0.0)
        wait_for(lambda: stored() == set(state.segment_ids))


def test_a_merge_that_was_killed_is_picked_up(state, again, turns):
    """Stored, but never taken over: the next start searches it, and its parts are removed."""
    built = state.build((0, 80))
    write_segment(state.lake, built)
    started = again()
    assert spans(started) == [(0, 80), (80, 100)]
    assert answers(started) == answers(state)
    with Merging(started, Lock(), PER_SEGMENT, review) as running:
        assert [name for _, name in running._retired] == state.segment_ids[:4]


def test_ids_are_found_whatever_was_merged(state, turns):
    hashes = id_hashes(["pin-5", "pin-79", "nobody"])
    with Merging(state, Lock(), PER_SEGMENT, review):
        wait_for(lambda: len(state.segment_ids) == 2)
    assert state.segment(state.segment_ids[0]).find_ids(hashes).tolist() == [5, 79, -1]
