"""Spark's checkpoint lost, damaged, of another time, used twice: the tables are what counts."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.report import compare, stopped
from tests.faults.system import System
from tests.faults.test_crash_points import crash

CHECKPOINT, TWO = "checkpoint", "two streams at once"


def last(folder: Path, before: int = 0) -> Path:
    """The file of the newest batch in ``offsets`` or ``commits``, or of one before it."""
    return folder / str(
        max(int(path.name) for path in folder.iterdir() if path.name.isdigit()) - before
    )


@pytest.mark.faults
def test_a_batch_that_spark_forgot_is_replayed_without_a_trace(
    calm: System, tmp_path: Path
) -> None:
    rough = calm.copy(tmp_path / "rough")
    last(rough.checkpoint / "commits").unlink()
    assert rough.drain() == 0, rough.words()
    compare(CHECKPOINT, "commits/<last> deleted", calm, rough)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "lost as a whole": shutil.rmtree,
    "gap in offsets/": lambda checkpoint: last(checkpoint / "offsets", 1).unlink(),
    "offsets/<last> empty": lambda checkpoint: last(checkpoint / "offsets").write_text(""),
    "commits/<last> empty": lambda checkpoint: last(checkpoint / "commits").write_text(""),
}


@pytest.mark.faults
@pytest.mark.parametrize("fault", DAMAGE)
def test_a_damaged_checkpoint_is_set_aside(calm: System, rough: System, fault: str) -> None:
    crash(rough, "batch.done:4")
    DAMAGE[fault](rough.checkpoint)
    assert rough.drain() == 0, rough.words()
    assert "lost" in fault or "is not used" in rough.words(8000)
    compare(CHECKPOINT, fault, calm, rough)


@pytest.mark.faults
def test_a_checkpoint_that_is_ahead_of_the_tables_leaves_nothing_out(
    calm: System, rough: System
) -> None:
    """Tables from a backup, the checkpoint of today: in between would be events nobody read."""
    crash(rough, "pins.after:2")
    shutil.rmtree(rough.checkpoint)
    shutil.copytree(calm.checkpoint, rough.checkpoint)
    assert rough.drain() == 0, rough.words()
    assert "is not used" in rough.words(8000)
    compare(CHECKPOINT, "newer than the tables", calm, rough)


@pytest.mark.faults
def test_two_at_once_are_refused(calm: System, rough: System) -> None:
    first = rough.start("stream")
    rough.wait_until_ready()
    assert rough.drain() == 1
    stopped(TWO, "one checkpoint", rough, "Another process uses the checkpoint")
    elsewhere = {"NEARDUP_STREAM__CHECKPOINT": str(rough.folder / "elsewhere")}
    assert rough.drain(**elsewhere) == 1
    stopped(TWO, "one lake, two checkpoints", rough, "Another process runs `neardup stream`")
    rough.wait_for("all events", lambda: rough.decided() == calm.decided())
    assert rough.stop(first) == 0, rough.words()
    compare(TWO, "afterwards", calm, rough)


@pytest.mark.faults
def test_a_stream_that_slept_while_another_took_over_writes_no_more(
    calm: System, rough: System
) -> None:
    """Its locks are gone, as if somebody thought it dead and tidied up."""
    first = rough.start("stream")
    rough.wait_for("some batches", lambda: rough.decided() > 60)
    first.send_signal(signal.SIGSTOP)
    for lock in rough.path.rglob("*.lock"):
        lock.unlink()
    elsewhere = {"NEARDUP_STREAM__CHECKPOINT": str(rough.folder / "elsewhere")}
    assert rough.drain(**elsewhere) == 0, rough.words()
    first.send_signal(signal.SIGCONT)
    assert rough.ended(first) == 1, rough.words()
    stopped(TWO, "one slept, its locks were removed", rough, "took over as the writer")
    compare(TWO, "the other one", calm, rough)
