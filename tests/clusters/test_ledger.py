"""From the log to memberships: replays, restarts and generations change nothing they should not."""

from pathlib import Path
from typing import Any

import pytest

from neardup.clusters.fold import FOUNDER_BITS
from neardup.clusters.generations import generation_row, prepared_generation, publish
from neardup.clusters.ledger import (
    catch_up,
    covered_batch,
    load_store,
    require_hasher,
    restore,
)
from neardup.index.store import PinStore
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake
from tests.lakes import EVIDENCE, garden


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    (tmp_path / "store").mkdir()
    return garden(tmp_path / "lake", tmp_path / "store")


@pytest.fixture
def store(lake: Lake, tmp_path: Path) -> PinStore:
    (tmp_path / "again").mkdir()
    return load_store(lake, PinStore(tmp_path / "again"))


def current(lake: Lake) -> list[tuple[Any, ...]]:
    rows = lake.sql("SELECT pin_id, cluster_id, head FROM clusters_current ORDER BY ordinal")
    return [tuple(row.values()) for row in rows.to_pylist()]


def rows_of(lake: Lake, generation: int) -> list[dict[str, Any]]:
    return lake.rows(
        "SELECT * FROM clusters WHERE generation = $g ORDER BY batch_seq, ordinal",
        {"g": generation},
    )


def test_the_store_is_read_back_from_the_log(store: PinStore) -> None:
    assert [store.pin_id(i) for i in range(len(store))] == [
        "rose",
        "tulip",
        "rose-copy",
        "tulip-copy",
        "daisy",
    ]


def test_a_batch_without_its_memberships_is_finished(lake: Lake, store: PinStore) -> None:
    """As after a crash between the commits of `pins` and `clusters`."""
    before, rows = current(lake), rows_of(lake, 0)
    lake.table("clusters").delete("batch_seq >= 1")
    assert current(lake) != before
    ledger = restore(lake, 0, EVIDENCE, store)
    assert ledger.through == 0
    catch_up(lake, ledger)
    assert ledger.through == 2
    assert current(lake) == before
    assert rows_of(lake, 0) == rows


def test_publishing_replays_the_tail_and_again_adds_nothing(lake: Lake, store: PinStore) -> None:
    prepare_first_batch(lake)
    before = current(lake)
    prepared = prepared_generation(lake)
    assert prepared is not None and prepared["generation"] == 1
    assert current(lake) == before, "nobody sees it yet"
    ledger = restore(lake, 1, EVIDENCE, store)
    publish(lake, prepared, ledger, None)
    assert prepared_generation(lake) is None
    assert lake.current_generation() == 1 == ledger.fold.generation
    assert current(lake) == [
        ("rose", 0, "rose"),
        ("tulip", 1, "tulip"),
        ("rose-copy", 0, "rose"),
        ("daisy", 1 << FOUNDER_BITS | 4, "daisy"),
    ]


def test_a_publisher_killed_before_its_last_commit_is_repeated(lake: Lake, store: PinStore) -> None:
    prepare_first_batch(lake)
    catch_up(lake, restore(lake, 1, EVIDENCE, store))  # and then it dies
    tail = rows_of(lake, 1)
    assert covered_batch(lake, 1) == 2
    prepared = prepared_generation(lake)
    assert prepared is not None
    publish(lake, prepared, restore(lake, 1, EVIDENCE, store), None)
    assert rows_of(lake, 1) == tail


def prepare_first_batch(lake: Lake) -> None:
    """What a compaction of batch 0 alone writes."""
    memberships = [{**row, "generation": 1} for row in rows_of(lake, 0) if row["batch_seq"] == 0]
    lake.append_rows("clusters", memberships)
    generation_row(
        lake, 1, "prepared", through_batch_seq=0, pins=2, clusters=2, moved=0, pair_f1=1.0
    )


def test_a_lake_of_another_hasher_is_refused(lake: Lake) -> None:
    require_hasher(lake, "h")
    with pytest.raises(LakeError, match=r"made by the hasher h, the settings name other"):
        require_hasher(lake, "other")


def test_a_log_with_a_hole_is_refused(lake: Lake, tmp_path: Path) -> None:
    lake.table("pins").delete("ordinal = 1")
    (tmp_path / "holes").mkdir()
    with pytest.raises(LakeError, match="not 0 to 3, each once"):
        load_store(lake, PinStore(tmp_path / "holes"))
