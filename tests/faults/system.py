"""A lake of its own, the commands run on it as processes, and what is compared afterwards."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neardup.index.policy import live_segments
from neardup.index.segment import SegmentName
from neardup.schemas.crash import VARIABLE
from neardup.schemas.lake import Lake
from neardup.schemas.tables import TABLES

FLUSH_PINS = 16
SECONDS = 600.0
"""More than any run takes, even on a machine with much else to do."""

SETTINGS = """\
[lake]
path = "lake"
[kafka]
bootstrap_servers = "{bootstrap}"
topic = "{topic}"
[stream]
max_events_per_batch = 30
flush_pins = {flush_pins}
maintenance_seconds = {maintenance}
{stream}
[spark]
master = "local[{cores}]"
{more}
"""


@dataclass
class System:
    """A folder with settings, lake, log and temporary files; the topic may be others' too."""

    folder: Path
    bootstrap: str
    topic: str
    maintenance: float = 3600.0
    stream: str = ""
    more: str = ""
    cores: int = 1

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # Decoded segments are kept below: every lake begins with a cold cache.
        (self.folder / "tmp").mkdir(exist_ok=True)
        self.write_settings()

    @property
    def path(self) -> Path:
        return self.folder / "lake"

    @property
    def lake(self) -> Lake:
        return Lake(self.path)

    @property
    def checkpoint(self) -> Path:
        return self.path / "_checkpoints" / "stream"

    @property
    def config(self) -> Path:
        return self.folder / "neardup.toml"

    def write_settings(self) -> None:
        text = SETTINGS.format(
            bootstrap=self.bootstrap,
            topic=self.topic,
            flush_pins=FLUSH_PINS,
            maintenance=self.maintenance,
            stream=self.stream,
            more=self.more,
            cores=self.cores,
        )
        self.config.write_text(text, "utf-8")

    def copy(self, folder: Path, maintenance: float = 3600.0) -> "System":
        """Another system that begins where this one stands."""
        other = System(folder, self.bootstrap, self.topic, maintenance, self.stream, self.more)
        shutil.copytree(self.path, other.path)
        return other

    def start(self, *command: str, crash: str = "", **environment: str) -> "subprocess.Popen[str]":
        """``neardup COMMAND`` as a process; its words go to the log."""
        given = {**os.environ, "TMPDIR": str(self.folder / "tmp"), **environment}
        given.pop(VARIABLE, None)
        if crash:
            given[VARIABLE] = crash
        with (self.folder / "log").open("a", encoding="utf-8") as log:
            log.write(f"--- {' '.join(command)} {crash}\n")
            log.flush()
            return subprocess.Popen(
                [sys.executable, "-m", "neardup.cli.main", *command, "--config", str(self.config)],
                stdout=log,
                stderr=log,
                text=True,
                env=given,
            )

    def run(self, *command: str, crash: str = "", **environment: str) -> int:
        """Run a command to its end; the exit code, negative for a signal."""
        process = self.start(*command, crash=crash, **environment)
        return self.ended(process)

    def drain(self, crash: str = "", **environment: str) -> int:
        return self.run("stream", "--once", crash=crash, **environment)

    def ended(self, process: "subprocess.Popen[str]") -> int:
        """The exit code of a process that should end by itself."""
        try:
            return process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"It did not end in {SECONDS:.0f} s:\n{self.words()}") from None

    def stop(self, process: "subprocess.Popen[str]") -> int:
        """SIGTERM, and its exit code."""
        process.send_signal(signal.SIGTERM)
        return self.ended(process)

    def wait_for(self, what: str, check: Callable[[], bool], seconds: float = SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < deadline, f"no {what}:\n{self.words()}"
            time.sleep(0.1)

    def wait_until_ready(self) -> None:
        """Of the stream that was started last."""

        def ready() -> bool:
            return "ready:" in self.words(10**9).rpartition("--- stream")[2]

        self.wait_for("ready stream", ready)

    def words(self, characters: int = 3000) -> str:
        """The end of the log."""
        return (self.folder / "log").read_text("utf-8", errors="replace")[-characters:]

    def decided(self) -> int:
        """Events in the log or in quarantine; 0 before there are tables."""
        if not (self.path / "plans" / "_delta_log").exists():
            return 0
        lake = self.lake
        return sum(lake.dataset(name).count_rows() for name in ("pins", "quarantine"))


def contents(lake: Lake) -> dict[str, list[str]]:
    """What two runs over the same events must have in common, table by table, each row sorted.

    All columns of all rows but these: ``written_at``, a time; rows of ``cluster_history``, which
    counts as a set; merged segments, whose content depends on when the merge began (flushed ones
    are compared byte by byte, and that live ones cover the log without a gap). Batch numbers are
    compared too: Spark cuts the same backlog into the same batches wherever it begins again.
    """
    tables = {}
    for name in TABLES:
        rows = lake.read(name).to_pylist()
        if name == "segments":
            rows = [row for row in rows if _is_flushed(row["segment_id"])]
        for row in rows:
            row.pop("written_at", None)
        counted = set if name == "cluster_history" else list
        tables[name] = sorted(counted(map(_text, rows)))
    tables["segments"].append(f"live segments cover {_covered(lake)}")
    return tables


def _text(row: dict[str, Any]) -> str:
    return repr(sorted(row.items(), key=lambda item: item[0]))


def _is_flushed(segment_id: str) -> bool:
    name = SegmentName.of(segment_id)
    return name.end - name.first == FLUSH_PINS and name.revision == 0


def _covered(lake: Lake) -> list[int]:
    """The first and one past the last ordinal of what live segments hold without a gap."""
    rows = lake.rows("SELECT DISTINCT segment_id FROM segments")
    plan = lake.rows("SELECT version FROM plans ORDER BY sequence DESC LIMIT 1")[0]["version"]
    end = 0
    for segment_id in live_segments((row["segment_id"] for row in rows), plan):
        name = SegmentName.of(segment_id)
        assert name.first == end, f"no segment holds ordinals {end} to {name.first}"
        end = name.end
    return [0, end]


def told(lake: Lake, ordinals: bool = True) -> dict[str, list[str]]:
    """What became of events, whatever offsets and batches they came in.

    Rows of `pins` and of `quarantine`, clusters as sets of pins. Left out are repeats, records with
    the key "filler" and, without ``ordinals``, all that follows from the order of partitions.
    """
    of_the_way = {"topic_id", "partition", "offset", "batch_seq", "event_time"}
    of_the_way |= {"kafka_time", "written_at"}
    if not ordinals:
        of_the_way |= {"ordinal", "previous", "exemplar", "links"}
    facts = {}
    for name in ("pins", "quarantine"):
        facts[name] = sorted(
            _text({key: value for key, value in row.items() if key not in of_the_way})
            for row in lake.read(name).to_pylist()
            if row.get("kind") != "repeat" and row.get("key") != b"filler"
        )
    facts["clusters"] = sorted(repr(sorted(cluster)) for cluster in partition(lake))
    return facts


def differences(expected: dict[str, list[str]], found: dict[str, list[str]]) -> dict[str, str]:
    """Tables that differ: how many rows are missing or too many, and one of them."""
    wrong = {}
    for name, rows in expected.items():
        missing, more = _less(rows, found[name]), _less(found[name], rows)
        if missing or more:
            example = (missing or more)[0][:1500]
            wrong[name] = f"{len(missing)} rows missing, {len(more)} too many, such as {example}"
    return wrong


def _less(rows: list[str], others: list[str]) -> list[str]:
    left = list(others)
    return [row for row in rows if not _taken(row, left)]


def _taken(row: str, left: list[str]) -> bool:
    if row not in left:
        return False
    left.remove(row)
    return True


def partition(lake: Lake) -> set[frozenset[str]]:
    """The clusters that readers see, as sets of pin ids."""
    clusters: dict[int, set[str]] = {}
    for row in lake.rows("SELECT pin_id, cluster_id FROM clusters_current"):
        clusters.setdefault(row["cluster_id"], set()).add(row["pin_id"])
    return {frozenset(pins) for pins in clusters.values()}
