"""The lake: the tables exist with their documented columns, and commits add what they should."""

import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from neardup.schemas.document import tables_page
from neardup.schemas.errors import LakeError, StreamError
from neardup.schemas.lake import Lake, target_size
from neardup.schemas.tables import FORMAT_VERSION, TABLES

ROOT = Path(__file__).parents[2]


def membership(pin: str, cluster: int | None, batch: int, **changes: Any) -> dict[str, Any]:
    head = None if cluster is None else f"p{cluster}"
    row = {"pin_id": pin, "ordinal": int(pin[1:]), "cluster_id": cluster, "head": head}
    return {**row, "head_ordinal": cluster, "generation": 0, "batch_seq": batch, **changes}


def publish(lake: Lake, generation: int, sequence: int) -> None:
    lake.append_rows(
        "generations",
        [
            {
                "sequence": sequence,
                "generation": generation,
                "status": "published",
                "through_batch_seq": -1,
                "written_at": datetime.now(UTC),
            }
        ],
    )


def current(lake: Lake) -> list[tuple[Any, ...]]:
    rows = lake.sql("SELECT pin_id, cluster_id, head FROM clusters_current ORDER BY pin_id")
    return [tuple(row.values()) for row in rows.to_pylist()]


def test_the_tables_are_made_once(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path)
    publish(lake, 0, 0)
    again = Lake.create(tmp_path)
    assert again.current_generation() == 0
    for name, spec in TABLES.items():
        assert again.dataset(name).schema.names == spec.schema.names


def test_an_absent_lake_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match=r"is lake\.path right"):
        Lake(tmp_path)


def test_another_format_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Lake.create(tmp_path)
    monkeypatch.setattr("neardup.schemas.lake.FORMAT_VERSION", FORMAT_VERSION + 1)
    words = f"has format version {FORMAT_VERSION}; this neardup reads {FORMAT_VERSION + 1}"
    with pytest.raises(LakeError, match=words):
        Lake(tmp_path)


def test_the_newest_membership_counts_and_a_pin_that_left_is_gone(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path)
    publish(lake, 0, 0)
    lake.append_rows("clusters", [membership(f"p{i}", 0 if i < 2 else i, 0) for i in range(4)])
    lake.append_rows("clusters", [membership("p2", 0, 1), membership("p3", None, 1)])
    assert current(lake) == [("p0", 0, "p0"), ("p1", 0, "p0"), ("p2", 0, "p0")]


def test_a_new_head_needs_one_row(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path)
    publish(lake, 0, 0)
    lake.append_rows("clusters", [membership(f"p{i}", 0, 0) for i in range(3)])
    lake.append_rows("clusters", [membership("p1", 0, 1, head="p1"), membership("p0", None, 1)])
    assert current(lake) == [("p1", 0, "p1"), ("p2", 0, "p1")]


def test_readers_see_a_generation_only_when_it_is_published(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path)
    publish(lake, 0, 0)
    lake.append_rows("clusters", [membership("p0", 0, 0), membership("p1", 1, 0)])
    lake.append_rows("clusters", [membership(pin, 0, 0, generation=1) for pin in ("p0", "p1")])
    before = current(lake)
    publish(lake, 1, 1)
    assert before == [("p0", 0, "p0"), ("p1", 1, "p1")]
    assert current(lake) == [("p0", 0, "p0"), ("p1", 0, "p0")]
    publish(lake, 0, 2)
    assert current(lake) == before, "rolled back"


def test_maintenance_changes_no_row(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path)
    publish(lake, 0, 0)
    for i in range(20):
        lake.append_rows("clusters", [membership(f"p{i:02}", i, i)])
    before = current(lake)
    files = len(lake.table("clusters").file_uris())
    Lake(tmp_path).maintain()
    assert current(lake) == before and len(before) == 20
    assert len(lake.table("clusters").file_uris()) < files == 20
    lake.append_rows("clusters", [membership("p20", 20, 20)])
    assert len(current(Lake(tmp_path))) == 21


def test_maintenance_beside_appends_meets_no_conflict_and_loses_no_row(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path)
    publish(lake, 0, 0)
    done = threading.Event()
    turns = []

    def maintain() -> None:
        while not done.is_set():
            Lake(tmp_path).maintain()
            turns.append(1)

    beside = threading.Thread(target=maintain)
    beside.start()
    try:
        for i in range(120):
            lake.append_rows("clusters", [membership(f"p{i:03}", i, i)])
    finally:
        done.set()
        beside.join()
    assert len(turns) > 1
    assert len(current(Lake(tmp_path))) == len(current(lake)) == 120


def test_a_lease_is_held_by_one_and_free_afterwards(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path)
    second = pytest.raises(StreamError, match="stop it first")
    with lake.lease("stream"), lake.lease("compact"), second, Lake(tmp_path).lease("stream"):
        pytest.fail("two holders")
    with Lake(tmp_path).lease("stream"):
        pass


def test_the_page_of_tables_is_up_to_date() -> None:
    assert (ROOT / "docs" / "tables.md").read_text("utf-8") == tables_page(), (
        "regenerate it: python -m neardup.schemas.document"
    )


def test_of_a_large_value_only_the_begin_is_in_the_statistics(tmp_path: Path) -> None:
    """Else each block of rows would hold its least and its greatest payload once more."""
    lake = Lake.create(tmp_path)
    payload = os.urandom(10**6)
    row = {"segment_id": "s", "block": "b", "first_ordinal": 0, "end_ordinal": 1}
    lake.append_rows("segments", [{**row, "payload": payload}])
    (file,) = tmp_path.glob("segments/*/*.parquet")
    assert len(payload) < file.stat().st_size < len(payload) + 5_000
    assert lake.read("segments", ["payload"])["payload"].to_pylist() == [payload]


def test_a_few_rows_have_no_large_file_written_anew() -> None:
    mebibyte = 2**20
    assert target_size([]) == target_size([1, 2, 80 * mebibyte]) == 8 * mebibyte
    assert target_size([8 * mebibyte] * 15 + [90 * mebibyte] * 20) == 8 * mebibyte
    assert target_size([8 * mebibyte] * 16) == 100 * mebibyte
