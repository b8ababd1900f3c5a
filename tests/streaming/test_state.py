"""The driver's memory is what the tables say: after any batch, flush and restart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neardup.clusters.generations import generation_row
from neardup.index.cache import SegmentCache
from neardup.index.lake_segments import write_segment
from neardup.index.plans import record_plan
from neardup.index.store import stacked
from neardup.index.terms import TermPlan
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake
from neardup.streaming.state import State, rebuild
from tests.lakes import EVIDENCE, pin

Rebuild = Callable[[], State]

PLAN = TermPlan(bands=4)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake.create(tmp_path / "lake")
    generation_row(lake, 0, "published", through_batch_seq=-1)
    record_plan(lake, PLAN, "for a test")
    return lake


@pytest.fixture
def again(lake: Lake, tmp_path: Path) -> Rebuild:
    """A state made from the tables, with no file of another one."""
    made = iter(range(100))

    def make() -> State:
        folder = tmp_path / f"state-{next(made)}"
        folder.mkdir()
        cache = SegmentCache(folder / "cache", 2**30)
        return rebuild(lake, "t", EVIDENCE, cache, folder)

    return make


def add(pin_id: str, batch_seq: int, offset: int, ordinal: int, **columns: Any) -> dict[str, Any]:
    """A row of a pin with random bits."""
    signature = np.random.default_rng(ordinal).bytes(128)
    return pin(pin_id, batch_seq, offset, ordinal=ordinal, signature=signature, **columns)


BATCHES = [
    [add("a", 0, 0, 0), add("a-copy", 0, 1, 1, exemplar=0), add("b", 0, 2, 2)],
    [
        pin("a", 1, 3, kind="delete", previous=0),
        add("c", 1, 4, 3, exemplar=1),
        add("b", 1, 5, 4, previous=2),
        pin("c", 1, 6, kind="repeat", previous=3),
    ],
]


def write(lake: Lake, state: State, rows: list[dict[str, Any]]) -> None:
    lake.append_rows("pins", rows)
    state.apply(rows, stacked([row["signature"] for row in rows if row["kind"] == "add"]))


def flush(lake: Lake, state: State, span: tuple[int, int]) -> None:
    built = state.build(span)
    write_segment(lake, built)
    state.adopt([built.segment_id])


def standing(state: State) -> dict[str, Any]:
    n = state.next_ordinal
    indexed = state.exemplars.indexed(0, n).tolist()
    return {
        "indexed": {o: state.exemplars.followers(o).tolist() for o in indexed},
        "live": state.exemplars.live(0, n).tolist(),
        "memtable": state.memtable().ordinals.tolist(),
        "masked": state.masked.tolist(),
        "recent": state.recent,
        "flushed": state.flushed,
        "segment_ids": state.segment_ids,
        "batch_seq": state.batch_seq,
        "positions": state.positions,
    }


def test_an_elected_pin_waits_in_the_memtable_and_a_restart_finds_it(
    lake: Lake, again: Rebuild
) -> None:
    state = again()
    write(lake, state, BATCHES[0])
    flush(lake, state, (0, 3))
    write(lake, state, BATCHES[1])
    assert standing(state) == {
        "indexed": {1: [3], 4: []},
        "live": [1, 3, 4],
        "memtable": [1, 4],
        "masked": [0, 2],
        "recent": {"c": 3, "b": 4},
        "flushed": 3,
        "segment_ids": [f"000000000000-000000000003-{PLAN.version}-000"],
        "batch_seq": 2,
        "positions": {0: 6},
    }
    assert standing(again()) == standing(state)
    signatures = state.memtable().signatures
    assert np.array_equal(signatures, state.store.signatures(np.array([1, 4])))


def test_every_live_id_is_found_followers_too(lake: Lake, again: Rebuild) -> None:
    state = again()
    write(lake, state, BATCHES[0])
    flush(lake, state, (0, 3))
    write(lake, state, BATCHES[1])
    flush(lake, state, (3, 5))
    ids = ["a-copy", "b", "c", "stranger"]
    for one in (state, again()):
        assert one.recent == {}
        assert one.find(ids).tolist() == [1, 4, 3, -1]


def test_a_segment_that_was_built_before_the_last_batch_is_taken_over_as_it_is(
    lake: Lake, again: Rebuild
) -> None:
    state = again()
    write(lake, state, BATCHES[0])
    late = state.build((0, 3))
    write(lake, state, BATCHES[1])
    write_segment(lake, late)
    state.adopt([late.segment_id])
    assert (state.strays.tolist(), state.masked.tolist()) == ([1], [0, 2])
    assert standing(again()) == standing(state)


def test_segments_of_another_plan_are_not_searched(lake: Lake, again: Rebuild) -> None:
    state = again()
    write(lake, state, BATCHES[0])
    flush(lake, state, (0, 3))
    record_plan(lake, TermPlan(bands=5), "for a test")
    other = again()
    assert (other.segment_ids, other.flushed, other.masked.tolist()) == ([], 0, [])
    assert other.memtable().ordinals.tolist() == [0, 2]
    flush(lake, other, (0, 3))
    assert standing(again()) == standing(other)


def test_a_log_that_contradicts_itself_is_refused(lake: Lake, again: Rebuild) -> None:
    follows_a_follower = add("d", 1, 3, 3, exemplar=1)
    lake.append_rows("pins", [*BATCHES[0], follows_a_follower])
    with pytest.raises(LakeError, match=r"contradicts itself: Row 3 of 4 adds pin 3 .* backup"):
        again()
