"""The views near a few pins tell what the whole views tell of them."""

from pathlib import Path
from typing import Any

import pytest

from neardup.answers.near import near
from neardup.clusters.generations import generation_row
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake
from tests.lakes import garden, pin


def member(pin_id: str, ordinal: int, cluster_id: int | None, head: str, **columns: Any) -> Any:
    return {
        "pin_id": pin_id,
        "ordinal": ordinal,
        "cluster_id": cluster_id,
        "head": head,
        "head_ordinal": 0,
        "generation": 1,
        "batch_seq": 0,
        **columns,
    }


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Pins that moved, came again with another ordinal, went, and a head that changed alone."""
    folder = tmp_path_factory.mktemp("near")
    (folder / "store").mkdir()
    lake = garden(folder / "lake", folder / "store")
    rows = [
        [member(name, i, 0, "a") for i, name in enumerate("abcde")],
        [member("f", 5, 5, "f"), member("c", 2, 5, "f")],
        [member("d", 3, None, "a"), member("b", 1, 0, "b")],
        [member("d", 6, 5, "f"), member("e", 7, 7, "e")],
    ]
    for batch_seq, batch in enumerate(rows):
        lake.append_rows("clusters", [{**row, "batch_seq": batch_seq} for row in batch])
    lake.append_rows("pins", [pin(name, 9, i, ordinal=9 + i) for i, name in enumerate("xy")])
    generation_row(lake, 1, "published", through_batch_seq=3)
    return lake


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("pin_id", ["a"]),
        ("pin_id", ["c", "d", "e", "nobody"]),
        ("ordinal", [2, 3, 4, 6, 7]),  # 3 and 4 came again as 6 and 7
        ("cluster_id", [0]),
        ("cluster_id", [5, 7]),
        ("cluster_id", []),
    ],
)
def test_a_part_is_the_same_as_in_the_whole(lake: Lake, column: str, values: list[Any]) -> None:
    whole = [r for r in lake.rows("FROM clusters_current ORDER BY pin_id") if r[column] in values]
    sizes = lake.rows("FROM cluster_sizes ORDER BY cluster_id")
    with near(lake, column, values) as connection:
        found = connection.sql("FROM clusters_current ORDER BY pin_id").to_arrow_table().to_pylist()
        counted = connection.sql("FROM cluster_sizes ORDER BY cluster_id").to_arrow_table()
        if column == "cluster_id":
            assert counted.to_pylist() == [row for row in sizes if row["cluster_id"] in values]
    assert found == whole
    assert bool(found) == bool(values)


def test_what_is_joined_is_what_constants_find(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> list[Any]:
        with near(lake, "cluster_id", [0, 5]) as connection:
            rows: list[Any] = connection.sql("FROM clusters_current ORDER BY pin_id").fetchall()
            return rows

    few = found()
    monkeypatch.setattr("neardup.answers.near.FEW", 1)
    assert len(few) == 5 and found() == few


def test_a_lake_without_rows_tells_of_nobody(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    generation_row(lake, 0, "published", through_batch_seq=-1)
    with near(lake, "pin_id", ["a"]) as connection:
        assert not connection.sql("FROM clusters_current").fetchall()
        assert not connection.sql("FROM pins").fetchall()


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    lake = garden(tmp_path / "lake", tmp_path / "store")
    for file in (lake.path / "clusters").rglob("*.parquet"):
        file.write_bytes(b"not Parquet")
    with pytest.raises(LakeError, match="The table clusters"), near(lake, "ordinal", [0]):
        pass
