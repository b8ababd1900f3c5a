"""When Spark's checkpoint is believed, and when it is set aside."""

import json
import shutil
from pathlib import Path

import pytest

from neardup.schemas.errors import StreamError
from neardup.streaming.checkpoint import (
    Damaged,
    fit_to_log,
    planned,
    sole_user,
)


def offsets(**partitions: int) -> str:
    return json.dumps({"pins": {name[1:]: offset for name, offset in partitions.items()}})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three batches of ten offsets; the last one did not end."""
    checkpoint = tmp_path / "stream"
    for name in ("offsets", "commits", "sources/0"):
        (checkpoint / name).mkdir(parents=True)
    (checkpoint / "sources" / "0" / "0").write_text("\0v1\n" + offsets(p0=0, p1=0))
    for batch in range(3):
        words = f'v1\n{{"conf": {{}}}}\n{offsets(p0=10 * batch + 10, p1=batch)}'
        (checkpoint / "offsets" / str(batch)).write_text(words)
        if batch < 2:
            (checkpoint / "commits" / str(batch)).write_text("v1\n{}")
    return checkpoint


def test_the_batch_that_did_not_end_is_done_again(folder: Path) -> None:
    found = planned(folder, "pins")
    assert found is not None and not found.done
    assert (found.number, found.start, found.end) == (2, {0: 20, 1: 1}, {0: 30, 1: 2})
    assert found.misfit({0: 20, 1: 1}) is None, "it is not in the log"
    assert found.misfit({0: 30, 1: 2}) is None, "it is in the log"


@pytest.mark.parametrize(
    ("due", "used"),
    [
        ({0: 20, 1: 1}, False),  # nothing of the last batch is in the log: it is planned anew
        ({0: 21, 1: 1}, True),  # a part of it is, in quarantine: it is cut again as it was
        ({0: 30, 1: 1}, True),
        ({0: 30, 1: 2}, False),  # all of it is
    ],
)
def test_it_is_used_in_the_middle_of_a_batch_alone(
    folder: Path, due: dict[int, int], used: bool, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "somebody's").touch()
    fit_to_log(folder, "pins", due)
    assert (folder / "offsets").exists() == used == (folder / "sources").exists()
    assert (folder / "somebody's").exists() and not caplog.text, "nothing is wrong"


def test_a_first_plan_that_spark_was_killed_over_is_removed(folder: Path) -> None:
    """Spark would refuse a checkpoint in which it finds no plan and yet something."""
    for plan in (folder / "offsets").iterdir():
        plan.rename(plan.with_name(f".{plan.name}.tmp"))
    fit_to_log(folder, "pins", {})
    assert list(folder.iterdir()) == []


def test_no_checkpoint_is_no_news(tmp_path: Path) -> None:
    assert planned(tmp_path / "none", "pins") is None
    fit_to_log(tmp_path / "none", "pins", {0: 7})


@pytest.mark.parametrize(
    ("due", "reason"),
    [({0: 15, 1: 1}, "goes on at offset 20"), ({0: 31, 1: 2}, "ends at offset 30"), ({}, "due is")],
)
def test_one_that_would_leave_events_out_or_is_old_is_set_aside(
    folder: Path, due: dict[int, int], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    fit_to_log(folder, "pins", due)
    assert reason in caplog.text and not folder.exists()
    assert (folder.parent / "stream.aside" / "offsets" / "2").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "offsets" / "1").unlink(),
        lambda folder: (folder / "offsets" / "2").write_text(""),
        lambda folder: (folder / "offsets" / "2").write_text('v1\n{}\n{"other": {"0": 1}}'),
        lambda folder: (folder / "commits" / "1").write_text(""),
    ],
)
def test_damage_is_noticed(folder: Path, damage: object) -> None:
    assert callable(damage)
    damage(folder)
    with pytest.raises(Damaged):
        planned(folder, "pins")
    fit_to_log(folder, "pins", {0: 20, 1: 1})
    assert not folder.exists()


def test_checksums_of_files_that_are_gone_are_removed(folder: Path) -> None:
    for name in (".0.crc", ".7.crc"):
        (folder / "commits" / name).write_bytes(b"crc")
    fit_to_log(folder, "pins", {0: 25, 1: 1})
    assert {path.name for path in (folder / "commits").iterdir()} == {"0", "1", ".0.crc"}


def test_old_batches_that_spark_removed_are_no_gap(folder: Path) -> None:
    (folder / "offsets" / "0").unlink()
    (folder / "commits" / "0").unlink()
    shutil.rmtree(folder / "sources")
    assert planned(folder, "pins") is not None


def test_only_one_process_uses_a_checkpoint(folder: Path) -> None:
    refused = pytest.raises(StreamError, match="Another process uses")
    with sole_user(folder), refused, sole_user(folder):
        pass
