"""A stream that is killed and started again, seen by a reader of its table."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from neardup.benchmarks.processes import NEARDUP
from neardup.benchmarks.system import settings_file
from neardup.benchmarks.watch import Watcher, commits
from neardup.schemas.errors import StreamError
from neardup.schemas.lake import Lake
from neardup.schemas.settings import KafkaSettings

Times = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

PATIENCE_SECONDS = 1800.0


@dataclass
class Stream:
    """`neardup stream` over a lake of its own in ``directory``, one process after the other.

    At the end of its ``with`` block the last one is killed.
    """

    directory: Path
    kafka: KafkaSettings
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    def __post_init__(self) -> None:
        settings_file(self.directory, self.kafka)

    @property
    def lake(self) -> Lake:
        return Lake(self.directory / "lake")

    def watcher(self) -> Watcher:
        """Notes when each pin is in a cluster, as readers see it."""
        return Watcher(self.directory / "lake" / "clusters")

    def start(self) -> None:
        """Start a process."""
        log = self.directory / "stream.log"
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, *NEARDUP, "stream", "--config", self.directory / "neardup.toml"],
                stdout=file,
                stderr=file,
                env={**os.environ, "TMPDIR": str(self.directory)},  # for its decoded segments
                start_new_session=True,  # Ctrl-C reaches this process, which then ends that one
            )

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def words(self) -> str:
        """What all processes have said."""
        return (self.directory / "stream.log").read_text("utf-8", errors="replace")

    def wait_for(self, done: Callable[[], bool], until: float = float("inf")) -> bool:
        """Until ``done``, or until that moment (``time.monotonic``): whether it is done.

        Raises StreamError if the stream ends or stands still.
        """
        assert self.process is not None
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not done():
            if time.monotonic() > until:
                return False
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise StreamError(f"The stream ended or stands still: {self.directory}/stream.log")
            time.sleep(0.02)
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def lags(sent: Mapping[str, float], seen: Mapping[str, float]) -> tuple[Times, Counts]:
    """When commits became visible, and how many events were sent but not visible then."""
    times, counts = commits(seen)
    produced = np.searchsorted(np.sort(list(sent.values())), times, side="right")
    return times, produced - np.cumsum(counts)


def same_events(calm: Lake, rough: Lake) -> str:
    """What two lakes over one topic have in common, in words.

    Raises StreamError if an event is lost or counted twice, or was decided otherwise. Batches begin
    and end elsewhere after a crash, so partitions are in another order: ordinals are not compared.
    """
    rows = 0
    for table, columns in {
        "pins": ["partition", "offset", "kind", "pin_id", "signature"],
        "quarantine": ["partition", "offset", "reason"],
    }.items():
        order = [("partition", "ascending"), ("offset", "ascending")]
        expected, found = (lake.read(table, columns).sort_by(order) for lake in (calm, rough))
        if not expected.equals(found):
            raise StreamError(
                f"{table}: {len(expected)} rows of a calm run, {len(found)} after kills, and they "
                f"are not the same: {calm.path}, {rough.path}"
            )
        rows += len(expected)
    founders, others = (
        lake.sql(
            """SELECT pin_id, min(pin_id) OVER (PARTITION BY cluster_id) AS founder
            FROM clusters_current ORDER BY pin_id"""
        )
        for lake in (calm, rough)
    )
    alike = np.sum(founders["founder"].to_numpy() == others["founder"].to_numpy())
    return f"{rows:,} events each once; {alike:,} of {len(founders):,} pins in the same cluster"
