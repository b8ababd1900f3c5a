"""A source gets its share of each window of a partition, however the log is cut into batches."""

from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from neardup.models.embed import MobileNetEmbedder
from neardup.schemas.lake import Lake
from neardup.schemas.settings import EventSettings, ModelSettings
from neardup.streaming import poison
from neardup.streaming.hashing import HashingPlan, hash_batches
from neardup.streaming.quota import NAMED, Meter, read_meter
from neardup.streaming.sources import RECORDS
from tests.lakes import pin
from tests.paths.pictures import WHEN, event, with_embedding
from tests.streaming.test_hashing import records

QUOTA, WINDOW = 2, 7

Row = dict[str, Any]
logs = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from("abc"), st.integers(1, 3)), max_size=60
)


def rows_of(log: list[tuple[int, str, int]]) -> list[Row]:
    """Events of two partitions with gaps between their offsets."""
    at = Counter({0: -1, 1: -1})
    rows = []
    for partition, source, gap in log:
        at[partition] += gap
        rows.append(
            {"partition": partition, "offset": at[partition], "source": source, "kind": "add"}
        )
    return rows


def naive(rows: list[Row]) -> list[bool]:
    """Whether each is taken: counted from the beginning every time."""
    taken: list[Row] = []
    found = []
    for row in rows:
        same = [
            other
            for other in taken
            if (other["partition"], other["source"]) == (row["partition"], row["source"])
            and other["offset"] // WINDOW == row["offset"] // WINDOW
        ]
        found.append(len(same) < QUOTA)
        if found[-1]:
            taken.append(row)
    return found


@given(logs, st.lists(st.integers(1, 9), max_size=30))
def test_batches_do_not_matter(log: list[tuple[int, str, int]], cuts: list[int]) -> None:
    """Every batch is judged by a copy, done, and then its accepted rows are counted, twice."""
    rows = rows_of(log)
    found: list[bool] = []
    driver = Meter(QUOTA, WINDOW)
    while len(found) < len(rows):
        batch = rows[len(found) : len(found) + (cuts.pop() if cuts else 5)]
        task = deepcopy(driver)  # as pickling does
        taken = [task.complaint(row) is None for row in batch]
        found += taken
        for _ in range(2):
            driver.count([row for row, fits in zip(batch, taken, strict=True) if fits])
    assert found == naive(rows)


def test_without_a_quota_everything_is_taken() -> None:
    meter = Meter(0, 10)
    rows = [{"partition": 0, "offset": i, "source": None, "kind": "add"} for i in range(99)]
    assert all(meter.complaint(row) is None for row in rows) and not meter.partitions


def test_a_flood_is_refused_with_its_bytes_on_both_ways_of_hashing() -> None:
    """The second way is that of a batch in which a worker died: each event by itself."""
    vectors = np.random.default_rng(1).standard_normal((6, 1024))
    sources = ["flood"] * 4 + ["calm", None]
    sent = [
        with_embedding(f"p{i}", vector, MobileNetEmbedder.name, source=source)
        for i, (vector, source) in enumerate(zip(vectors, sources, strict=True))
    ]
    posted = records(*sent, event("bad"), (b"p0", None))
    plan = HashingPlan(EventSettings(), ModelSettings(), 0, meter=Meter(QUOTA, WINDOW))
    batch = pa.RecordBatch.from_pylist(posted, schema=RECORDS)
    for way in (hash_batches, poison.hash_each):
        (found,) = way(deepcopy(plan), iter([batch]))
        reasons = found.column("reason").to_pylist()
        assert reasons == [None, None, "quota", "quota", None, None, "no_picture", None]
        assert found.column("value")[2].as_py() == posted[2]["value"]


def test_a_restart_reads_the_counts_from_the_log(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    a, b = "ä" * (NAMED - 1) + "a", "ä" * (NAMED - 1) + "b"
    sources = [a, b, a, a, a, None, a + "more", b]
    kinds = ["add", "add", "repeat", "add", "delete", "add", "add", "add"]
    rows = [
        pin(f"p{i}", 0, 4 + i, kind, event_time=WHEN, source=source)
        for i, (source, kind) in enumerate(zip(sources, kinds, strict=True))
    ]
    elsewhere = [pin("q", 0, 3, event_time=WHEN, source="b", partition=1)]
    lake.append_rows("pins", [*rows, *elsewhere])
    counted = Meter(9, WINDOW)
    counted.count([*rows, *elsewhere])
    assert read_meter(lake, "t", 9, WINDOW) == counted
    assert counted.partitions[0].events == {a: 2, None: 1, b: 1}  # of positions 7 to 13
