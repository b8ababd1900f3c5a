"""What executors do with a batch: which pairs reach the net, and that no division changes one."""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from pyspark.accumulators import Accumulator

from neardup.index.cache import SegmentCache
from neardup.index.hamming import pairs_within
from neardup.index.ids import id_hashes
from neardup.index.lake_segments import write_segment
from neardup.index.search import Candidates
from neardup.index.segment import build_segment
from neardup.index.terms import TermPlan
from neardup.models.classifier import Classifier
from neardup.schemas.lake import Lake
from neardup.streaming.candidates import (
    NO_CANDIDATES,
    Broadcast,
    Ended,
    SearchPlan,
    score_candidates,
    scorer_of,
    search_tasks,
)
from neardup.streaming.counts import Counts
from neardup.streaming.here import is_small, search_here
from neardup.streaming.segments import open_segment
from tests.classifiers import variant

PINS, COPIED = 400, 60
NOBODY = np.empty(0, np.int64)


class Local(NamedTuple):
    """A value that is broadcast to nobody."""

    value: Any


@pytest.fixture(scope="module")
def pins() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (PINS, 128), np.uint8)


@pytest.fixture(scope="module")
def queries(pins: np.ndarray) -> np.ndarray:
    """Of the first pins 20 exact copies, 20 near ones, 20 that are farther than any link."""
    radius = Classifier.load().radius
    flips = np.repeat([0, 60, radius + 20], COPIED // 3)
    flips[20:40] += np.arange(0, 80, 4)
    rng = np.random.default_rng(2)
    patterns = np.zeros((COPIED, 1024), np.uint8)
    for row, count in zip(patterns, flips.tolist(), strict=True):
        row[rng.choice(1024, count, replace=False)] = 1
    return pins[:COPIED] ^ np.packbits(patterns, axis=1)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, pins: np.ndarray) -> Lake:
    """The pins in four segments."""
    lake = Lake.create(tmp_path_factory.mktemp("tasks") / "lake")
    for first in range(0, PINS, PINS // 4):
        ordinals = np.arange(first, first + PINS // 4)
        hashes = id_hashes([f"pin-{ordinal}" for ordinal in ordinals.tolist()])
        span = (first, first + PINS // 4)
        write_segment(
            lake, build_segment(span, ordinals, pins[ordinals], hashes, ordinals, TermPlan())
        )
    return lake


def plan(lake: Lake, queries: np.ndarray, groups: list[list[str]], **memtable: Any) -> SearchPlan:
    """``memtable``: pairs, others and shares."""
    return SearchPlan(
        queries=queries,
        ended=Ended(NOBODY, NOBODY, NOBODY.astype(np.int32)),
        groups=groups,
        shares=memtable.get("shares", 1),
        pairs=memtable.get("pairs", NO_CANDIDATES),
        others=memtable.get("others", np.empty((0, 128), np.uint8)),
        lake=lake.path,
        cache_dir=lake.path / "cache",
        cache_bytes=2**30,
        max_links=32,
    )


def ran(plan: SearchPlan, *classifiers: Classifier) -> list[dict[str, Any]]:
    """The rows of all tasks, by (query, ordinal)."""
    arrays = [one.to_arrays() for one in classifiers]
    shared = Broadcast(Local(plan), Local(arrays), Accumulator(0, Counter(), Counts()))
    tasks = pa.record_batch({"id": np.arange(plan.tasks)})
    rows = [row for batch in search_tasks(shared, iter([tasks])) for row in batch.to_pylist()]
    return sorted(rows, key=lambda row: (row["query"], row["ordinal"]))


def segment_ids(lake: Lake) -> list[str]:
    rows = lake.rows("SELECT DISTINCT segment_id FROM segments ORDER BY segment_id")
    return [row["segment_id"] for row in rows]


def test_exact_copies_and_hopeless_pairs_never_reach_the_net(
    lake: Lake, pins: np.ndarray, queries: np.ndarray
) -> None:
    classifier = variant(threshold=0.25)  # one whose scorer nobody has used
    scorer = scorer_of(classifier.to_arrays()).loaded()
    rows = ran(plan(lake, queries, [segment_ids(lake)]), classifier)
    distances = [row["hamming"] for row in rows]
    assert max(distances) <= classifier.radius
    copies = distances.count(0)
    assert copies == 20
    assert scorer.scored == len(rows) - copies > 0
    within = pairs_within(queries, pins, classifier.radius)
    assert len(rows) <= len(within[0]) < COPIED * PINS / 100, "of all pairs a few are asked about"
    own = {row["query"] for row in rows if row["query"] == row["ordinal"]}
    assert own == set(range(40)), "copies beyond the radius are not asked about"


@pytest.mark.parametrize("shares", [1, 2, 7, 90])
@pytest.mark.parametrize("division", [[[0, 1, 2, 3]], [[0], [1], [2], [3]], [[3, 1], [0, 2]]])
def test_no_division_into_tasks_changes_a_bit(
    lake: Lake, queries: np.ndarray, division: list[list[int]], shares: int
) -> None:
    names, classifier = segment_ids(lake), Classifier.load()
    whole = ran(plan(lake, queries, [names]), classifier)
    divided = ran(
        plan(lake, queries, [[names[i] for i in group] for group in division], shares=shares),
        classifier,
    )
    assert divided == whole
    assert len({row["score"] for row in whole}) > 10


@pytest.mark.parametrize("memtable", [0, 40])
@pytest.mark.parametrize("tasks", [1, 4])
def test_a_batch_gets_the_same_in_the_driver(
    lake: Lake, pins: np.ndarray, queries: np.ndarray, memtable: int, tasks: int
) -> None:
    names, numbers = segment_ids(lake), np.arange(memtable)
    ones = np.ones(memtable, np.int32)
    pairs = Candidates(numbers.astype(np.int32), PINS + numbers, ones, ones)
    groups = [names] if tasks == 1 else [names[:1], names[1:]]
    shares = tasks // len(groups)
    batch = plan(lake, queries, groups, pairs=pairs, others=pins[:memtable], shares=shares)
    cache = SegmentCache(lake.path / "cache", 2**30)
    segments = [open_segment(lake, cache, name) for name in names]
    here = search_here(batch, segments, [Classifier.load(), variant(1.0)]).to_pylist()
    here.sort(key=lambda row: (row["query"], row["ordinal"]))
    assert batch.tasks == tasks and is_small(batch) == (tasks == 1)
    assert here == ran(batch, Classifier.load(), variant(1.0))
    assert len(here) > 20 + memtable


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_no_order_and_no_batch_changes_a_bit(
    pins: np.ndarray, queries: np.ndarray, pieces: int
) -> None:
    scorer = scorer_of(Classifier.load().to_arrays()).loaded()
    rng = np.random.default_rng(pieces)
    query, ordinal = rng.integers(0, COPIED, 3000), rng.integers(0, PINS, 3000)
    ones = np.ones(3000, np.int32)
    found = Candidates(query.astype(np.int32), ordinal, ones, ones)
    at_once = scores(scorer, queries, found, pins)
    order = rng.permutation(3000)
    mixed = np.empty(3000, np.float32)
    for rows in np.array_split(order, pieces):
        part = Candidates(*(column[rows] for column in found))
        mixed[rows] = scores(scorer, queries, part, pins)
    np.testing.assert_array_equal(mixed.view(np.uint32), at_once.view(np.uint32))


def scores(scorer: Any, queries: np.ndarray, found: Candidates, pins: np.ndarray) -> np.ndarray:
    batch = score_candidates([scorer], queries, found, pins[found.ordinal])
    values: np.ndarray = batch.column("score").to_numpy()
    return values


def test_a_shadow_scores_the_same_pairs_and_changes_none(lake: Lake, queries: np.ndarray) -> None:
    searched = plan(lake, queries, [segment_ids(lake)])
    alone, beside = ran(searched, Classifier.load()), ran(searched, Classifier.load(), variant(1.0))
    assert [row["shadow_score"] for row in alone] == [None] * len(alone)
    assert [row["shadow_score"] for row in beside] == [row["score"] for row in alone]
    assert [{**row, "shadow_score": None} for row in beside] == alone
