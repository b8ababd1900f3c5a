"""Figures of a lake: what they say of a small one, and that they follow it batch by batch."""

import shutil
from functools import partial
from pathlib import Path

import pytest

from neardup.answers.overview import Overview, lag
from neardup.index.cache import SegmentCache
from neardup.schemas.lake import Lake, segment_blocks
from tests.answers.park import park
from tests.lakes import pin

SEGMENT_IDS = "SELECT DISTINCT segment_id FROM segments"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    (tmp_path / "store").mkdir()
    return park(tmp_path / "lake", tmp_path / "store")


def test_a_small_lake(lake: Lake) -> None:
    figures = Overview(lake).figures()
    assert figures.events == 12, "rows of the log but the override"
    assert figures.batch_seq == 5
    assert figures.positions == {("t", 0): 130}
    assert figures.quarantine == {"not_json": 1}
    assert (figures.generation, figures.prepared) == (1, None)
    assert (figures.sizes.pins, figures.sizes.clusters) == (6, 4)
    assert figures.sizes.quantiles[0.5] == 1 and figures.sizes.quantiles[1.0] == 2
    assert (figures.segments, figures.memtable) == (2, 3)
    assert figures.last_batch_at is not None and figures.published_at is not None
    assert figures.decided("t") == {0: 130} and figures.decided("other") == {}


def test_what_comes_later_is_added(lake: Lake) -> None:
    overview = Overview(lake)
    before = overview.figures()
    lake.append_rows("pins", [pin("ivy", 6, 140, ordinal=9, signature=bytes(128))])
    lake.append_rows("pins", [pin("ivy", 7, 7, kind="delete", previous=9, partition=2)])
    after = overview.figures()
    assert (after.events, after.batch_seq) == (before.events + 2, 7)
    assert after.positions == {("t", 0): 140, ("t", 2): 7}
    assert after.memtable == before.memtable + 1
    assert after.sizes is before.sizes, "clusters are not counted again within a minute"
    again = Overview(lake).figures()
    assert (again.events, again.positions) == (after.events, after.positions)


def test_what_this_host_has_decoded(lake: Lake, tmp_path: Path) -> None:
    cache = SegmentCache(tmp_path / "cache", 10**9)
    overview = Overview(lake, tmp_path / "cache")
    (first, _) = sorted(row["segment_id"] for row in lake.rows(SEGMENT_IDS))
    assert overview.figures().cached == 0
    cache.open(first, partial(segment_blocks, lake.path, first))
    figures = overview.figures()
    assert figures.cached == 1 and figures.cache_bytes > 1000
    shutil.rmtree(tmp_path / "cache" / first)
    assert overview.figures().cached == 0, "evicted"


def test_events_that_were_all_rejected_are_decided_too(lake: Lake) -> None:
    rows = lake.read("quarantine").to_pylist()
    lake.append_rows("quarantine", [{**rows[0], "offset": 150}, {**rows[0], "partition": 1}])
    assert Overview(lake).figures().decided("t") == {0: 150, 1: 120}


def test_a_lake_that_has_just_been_made(tmp_path: Path) -> None:
    figures = Overview(Lake.create(tmp_path)).figures()
    assert (figures.events, figures.batch_seq, figures.generation) == (0, -1, None)
    assert figures.sizes.pins == 0 and figures.last_batch_at is None
    lake = Lake(tmp_path)
    lake.append_rows("pins", [pin("first", 0, 0, ordinal=0, signature=bytes(128))])
    assert Overview(lake).figures().memtable == 1


def test_lag() -> None:
    ranges = {0: (0, 10), 1: (5, 10), 2: (0, 0), 3: (90, 100)}
    assert lag(ranges, {0: 3, 3: 20}) == {0: 6, 1: 5, 2: 0, 3: 10}
    assert lag({0: (0, 3)}, {0: 9}) == {0: 0}, "a topic made anew has less"
