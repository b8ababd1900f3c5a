"""Two handles of one lake stand for two processes that both believe they are its writer."""

from pathlib import Path

import pytest

from neardup.schemas.errors import StreamError
from neardup.schemas.lake import FENCED, Lake
from tests.schemas.test_lake import membership

ROW = [membership("p0", 0, 0)]


@pytest.fixture
def first(tmp_path: Path) -> Lake:
    lake = Lake.create(tmp_path)
    lake.fence()
    return lake


def test_its_owner_appends_whatever_others_do_to_the_table(first: Lake) -> None:
    other = Lake(first.path)
    for _ in range(3):
        first.append_rows("clusters", ROW)
        other.append_rows("clusters", ROW)  # a compaction, which is not fenced
        other.table("clusters").optimize.compact()
    assert first.dataset("clusters").count_rows() == 6
    first.append_rows("clusters", ROW)


@pytest.mark.parametrize("table", ["clusters", "segments"])
def test_rows_that_others_delete_stop_nobody(first: Lake, table: str) -> None:
    """Replaced segments and outdated generations are deleted beside the stream. To Delta that is a
    conflict with whoever looked at the table before."""
    other = Lake(first.path)
    segment = {"first_ordinal": 0, "end_ordinal": 1, "block": "ids", "payload": b""}
    for number in range(3):
        rows = {
            "clusters": {**ROW[0], "generation": number},
            "segments": {**segment, "segment_id": str(number)},
        }
        first.append_rows(table, [rows[table]])
        if table == "clusters":
            other.remove_generation(number - 1)
        else:
            other.remove_segments([str(number - 1)])
    assert first.dataset(table).count_rows() == 1
    second = Lake(first.path)
    second.fence()
    other.table(table).delete()
    with pytest.raises(StreamError, match="took over"):
        first.append_rows(table, [rows[table]])


@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("table", FENCED)
def test_who_was_replaced_appends_nothing(first: Lake, table: str, looks: bool) -> None:
    """Also if it has read the table since: then Delta would see no conflict."""
    second = Lake(first.path)
    second.fence()
    if looks:
        first.table(table)
    with pytest.raises(StreamError, match="took over"):
        first.append_rows(table, [])
    second.append_rows(table, [])
    with pytest.raises(StreamError, match="took over"):
        first.append_rows(table, [])


def test_the_number_outlives_checkpoints_and_their_cleaning(first: Lake) -> None:
    for _ in range(3):
        first.append_rows("clusters", ROW)
    first.maintain()
    first.append_rows("clusters", ROW)
    Lake(first.path).fence()
    with pytest.raises(StreamError, match="took over"):
        first.append_rows("clusters", ROW)


def test_tables_that_are_not_fenced_are_open_to_all(first: Lake) -> None:
    Lake(first.path).fence()
    first.append_rows("overrides", [])


def test_a_short_log_keeps_rows_and_the_fence(first: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints are written beside the writer, whose handle is opened anew."""
    monkeypatch.setattr("neardup.schemas.lake.LOG_LENGTH", 3)
    beside = Lake(first.path)
    for _ in range(10):
        first.append_rows("clusters", ROW)
        beside.shorten_logs()
    logs = {name: first.path / name / "_delta_log" for name in ("clusters", "pins")}
    assert len(list(logs["clusters"].glob("*.checkpoint*.parquet"))) == 3
    assert not list(logs["pins"].glob("*.checkpoint*.parquet"))
    assert first.dataset("clusters").count_rows() == 10
    Lake(first.path).fence()
    with pytest.raises(StreamError, match="Another process took over"):
        first.append_rows("clusters", ROW)


def test_a_log_forgets_what_is_long_past(first: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers and writers whose handles are older than all that is left go on."""
    monkeypatch.setattr("neardup.schemas.lake.LOG_LENGTH", 4)
    monkeypatch.setattr("neardup.schemas.lake.KEPT_COMMITS", 6)
    beside, reader, other = (Lake(first.path) for _ in range(3))
    for _ in range(40):
        first.append_rows("clusters", ROW)
        beside.shorten_logs()
    log = first.path / "clusters" / "_delta_log"
    commits = sorted(int(file.stem) for file in log.glob("*.json"))
    assert 6 <= len(commits) < 6 + 2 * 4 + 2, "so many are kept, and those of two checkpoints"
    assert commits == list(range(commits[0], first.table("clusters").version() + 1))
    assert reader.dataset("clusters").count_rows() == 40
    other.append_rows("clusters", ROW)
    assert Lake(first.path).dataset("clusters").count_rows() == 41


def test_a_writer_that_stood_still_for_long_does_not_come_back(
    first: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the commit that replaced it is forgotten."""
    monkeypatch.setattr("neardup.schemas.lake.LOG_LENGTH", 4)
    monkeypatch.setattr("neardup.schemas.lake.KEPT_COMMITS", 6)
    second, beside = Lake(first.path), Lake(first.path)
    second.fence()
    for _ in range(40):
        second.append_rows("clusters", ROW)
        beside.shorten_logs()
    with pytest.raises(StreamError, match="took over"):
        first.append_rows("clusters", ROW)
    assert Lake(first.path).dataset("clusters").count_rows() == 40
