"""A compaction killed, run twice, run beside the stream; and a stranger who tidies up meanwhile."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from neardup.schemas.tables import TABLES
from tests.faults.report import compare, stopped
from tests.faults.system import System, partition
from tests.faults.test_crash_points import crash

COMPACTION = "compaction"

ALONE = [
    "clusters.before",
    "clusters.after",
    "compaction.written",
    "generations.before",
    "generations.after",
    "publish.restored",
    "publish.caught_up",
    "generations.before",
    "generations.after",
]
"""In compactions with no stream beside them: the first ones die before a generation is prepared,
the later ones while they publish it."""

LATER = ["clusters.before", "clusters.after", "compaction.changed", "compaction.written"]
"""In compactions whose generation begins with files of the one before."""

BY_THE_STREAM = [
    "publish.restored",
    "publish.caught_up",
    "generations.before",
    "generations.after",
]
"""In a stream that publishes what a compaction beside it prepared."""


@pytest.fixture(scope="session")
def compacted(calm: System, tmp_path_factory: pytest.TempPathFactory) -> System:
    """The undisturbed run, and after it an undisturbed compaction."""
    system = calm.copy(tmp_path_factory.mktemp("compacted") / "calm")
    assert system.run("compact") == 0, system.words()
    return system


def compact(system: System) -> None:
    assert system.run("compact") == 0, system.words()


@pytest.mark.faults
def test_killed_in_compactions(calm: System, compacted: System, tmp_path: Path) -> None:
    rough = calm.copy(tmp_path / "rough")
    for place in ALONE:
        crash(rough, place, "compact")
    compact(rough)
    compare(COMPACTION, ALONE, compacted, rough)


@pytest.mark.faults
def test_killed_in_later_compactions(compacted: System, tmp_path: Path) -> None:
    calm = compacted.copy(tmp_path / "calm")
    one, other, *_ = max(map(sorted, partition(calm.lake)), key=len)
    assert calm.run("override", "unlink", one, other, "--why", "another picture") == 0
    assert calm.drain() == 0, calm.words()
    rough = calm.copy(tmp_path / "rough")
    compact(calm)
    files = [Path(uri) for uri in calm.lake.table("clusters").file_uris()]
    assert any(file.stat().st_nlink > 1 for file in files), "nothing was carried over"
    for place in LATER:
        crash(rough, place, "compact")
    compact(rough)
    compare(COMPACTION, LATER, calm, rough)


@pytest.mark.faults
@pytest.mark.parametrize("place", BY_THE_STREAM)
def test_killed_while_the_stream_publishes(
    calm: System, compacted: System, tmp_path: Path, place: str
) -> None:
    """The compaction sees that the stream is gone, and publishes what it prepared."""
    rough = calm.copy(tmp_path / "rough")
    stream = rough.start("stream", crash=place)
    rough.wait_until_ready()
    compact(rough)
    assert rough.ended(stream) == -signal.SIGKILL, rough.words()
    compare("stream, publishing", place, compacted, rough)


@pytest.mark.faults
def test_killed_before_it_is_published_the_next_stream_does_that(
    calm: System, compacted: System, tmp_path: Path
) -> None:
    rough = calm.copy(tmp_path / "rough")
    crash(rough, "generations.after", "compact")
    stream = rough.start("stream")
    rough.wait_for("published generation", lambda: rough.lake.current_generation() == 1)
    assert rough.stop(stream) == 0, rough.words()
    compare(COMPACTION, "prepared; the next stream publishes", compacted, rough)


@pytest.mark.faults
def test_two_at_once_are_refused(calm: System, compacted: System, tmp_path: Path) -> None:
    rough = calm.copy(tmp_path / "rough")
    with rough.lake.lease("compact"):
        assert rough.run("compact") == 1
    stopped(COMPACTION, "two at once", rough, "Another process runs `neardup compact`")
    ends = [rough.ended(process) for process in [rough.start("compact"), rough.start("compact")]]
    assert 0 in ends and set(ends) <= {0, 1}, rough.words()
    compare(COMPACTION, "two at once, afterwards", compacted, rough)


@pytest.mark.faults
def test_beside_the_stream_it_comes_to_the_same(
    calm: System, compacted: System, rough: System
) -> None:
    """In the middle of the events, and again at their end: the clusters are those of one compaction
    of everything, the log is that of an undisturbed run."""
    stream = rough.start("stream")
    rough.wait_for("some batches", lambda: rough.decided() > 60)
    compact(rough)
    rough.wait_for("all events", lambda: rough.decided() == calm.decided())
    compact(rough)
    assert rough.stop(stream) == 0, rough.words()
    compare(COMPACTION, "beside the stream, twice", calm, rough, ["pins", "quarantine", "segments"])
    assert partition(rough.lake) == partition(compacted.lake)


@pytest.mark.faults
@pytest.mark.parametrize("by", ["delta-rs", "Spark"])
def test_a_stranger_who_optimizes_and_vacuums_is_harmless(
    calm: System, compacted: System, rough: System, by: str
) -> None:
    tidied = rough.folder / "tidied"
    tidied.touch()
    program = [sys.executable, "-c", STRANGERS[by]]
    tidying = subprocess.Popen([*program, rough.path, tidied, *TABLES])

    def rounds() -> int:
        return len(tidied.read_text("utf-8").splitlines())

    try:
        stream = rough.start("stream")
        rough.wait_for("all events", lambda: rough.decided() == calm.decided())
        rough.wait_for("a round", lambda: rounds() > 0)
        assert rough.stop(stream) == 0, rough.words()
        compare(f"OPTIMIZE, VACUUM by {by}", "beside the stream", calm, rough)
        before = rounds()
        compact(rough)
        rough.wait_for("another round", lambda: rounds() > before)
    finally:
        tidying.kill()
        tidying.wait()
    compare(f"OPTIMIZE, VACUUM by {by}", "beside a compaction", compacted, rough)


STRANGERS = {
    "delta-rs": """\
import sys, time
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, TableNotFoundError

lake, tidied, *tables = sys.argv[1:]
while True:
    try:
        for name in tables:
            table = DeltaTable(f"{lake}/{name}")
            table.optimize.compact()
            table.create_checkpoint()
            table.vacuum(dry_run=False)
    except (TableNotFoundError, CommitFailedError):
        time.sleep(0.1)  # not made yet, or another was first: it tries again
    else:
        print("a round", file=open(tidied, "a"), flush=True)
""",
    "Spark": """\
import sys, time
from neardup.infra.spark import spark_session
from neardup.schemas.settings import SparkSettings
from pyspark.errors import PySparkException

lake, tidied, *tables = sys.argv[1:]
# VACUUM lists files in as many tasks: 10,000 by default, a minute for each small table.
options = {"spark.sql.sources.parallelPartitionDiscovery.parallelism": "2"}
spark = spark_session(SparkSettings(master="local[1]", options=options), "stranger", True)
while True:
    try:
        for name in tables:
            spark.sql(f"OPTIMIZE delta.`{lake}/{name}`").collect()
            spark.sql(f"VACUUM delta.`{lake}/{name}`").collect()
    except PySparkException as error:
        print(str(error).splitlines()[0], file=sys.stderr)
        time.sleep(0.5)  # not made yet, or another was first: it tries again
    else:
        print("a round", file=open(tidied, "a"), flush=True)
""",
}
"""Programs that compact files, write checkpoints and remove what is outdated, again and again."""
