"""One stream's process under a plan of events, seen by a reader of its table."""

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from neardup.benchmarks.processes import anonymous, cpu_seconds, memory, python_process
from neardup.benchmarks.stream_events import PREFIX, Event, send_all, sending
from neardup.benchmarks.watch import Watcher, commits
from neardup.schemas.errors import StreamError
from neardup.schemas.settings import KafkaSettings

RATE = 200.0
WINDOWS = 5
WARM_SECONDS = 5.0
DRAIN_SECONDS = 600.0

BATCH = re.compile(r"batch \d+: (?:.*, )?(\d+) events, .*; s: (.*)")
STAGE = re.compile(r"(\w+) ([\d.]+)")


@dataclass(frozen=True)
class Plan:
    """How much to send: ``backlog`` events at once, then ``seconds`` at ``rate`` a second.

    ``behind``: the backlog is there before the stream starts, which then loads TensorFlow only if
    it is worth it; if not, all of it is loaded before the first event.
    """

    backlog: int
    seconds: float
    rate: float = RATE
    behind: bool = True

    @property
    def events(self) -> int:
        return self.backlog + int((self.seconds + WARM_SECONDS) * self.rate)


@dataclass
class Outcome:
    """What a stream did with a plan.

    ``start``: seconds until it was ready. From the backlog: ``rate`` in events a second, ``rates``
    by commit, ``busy`` seconds of CPU an event by kind of process, ``batches`` seconds by stage,
    ``sizes`` their events.
    At the steady rate: ``late`` seconds from `produce` to visible, by window, ``calm`` and
    ``calm_batches``. ``memory`` in bytes by kind of process, ``anonymous`` what of it is outside
    the page cache; ``stored`` bytes an event by table.
    """

    start: float = 0.0
    rate: float = 0.0
    rates: list[float] = field(default_factory=list)
    busy: dict[str, float] = field(default_factory=dict)
    batches: list[dict[str, float]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    late: list[list[float]] = field(default_factory=list)
    calm: dict[str, float] = field(default_factory=dict)
    calm_batches: list[dict[str, float]] = field(default_factory=list)
    memory: Counter[str] = field(default_factory=Counter)
    anonymous: Counter[str] = field(default_factory=Counter)
    stored: dict[str, float] = field(default_factory=dict)

    def percentiles(self, q: float) -> list[float]:
        """One for each window."""
        return [float(np.percentile(window, q)) for window in self.late]


@dataclass
class Run:
    """A stream's process, and the table in which its events become visible."""

    words: list[str]
    directory: Path
    table: Path
    column: str
    environment: dict[str, str] = field(default_factory=dict)

    def of(self, plan: Plan, events: list[Event], kafka: KafkaSettings) -> Outcome:
        """A backlog, in the topic already if the plan says so, then events at a steady rate."""
        log = self.directory / "stream.log"
        outcome = Outcome()
        begin = time.monotonic()
        with (
            Watcher(self.table, self.column, PREFIX) as watcher,
            python_process(self.words, log, self.environment) as process,
        ):
            outcome.start = time.monotonic() - begin
            if not plan.behind:
                process.suspend()  # or it would take them in small batches as they come
                send_all(kafka, events[: plan.backlog])
                process.resume()
            self._drain(plan, watcher, process, outcome)
            outcome.sizes, outcome.batches = batches(log)
            outcome.memory, outcome.anonymous = memory(process), anonymous(process)
            self._steady(plan, events, kafka, watcher, process, outcome)
            outcome.calm_batches = batches(log)[1][len(outcome.batches) :]
        return outcome

    def _drain(
        self, plan: Plan, watcher: Watcher, process: psutil.Process, outcome: Outcome
    ) -> None:
        """Rates by commit, without the first tenth: a stream begins slowly."""
        wait_for(watcher, plan.backlog // 10, process)
        first, before = len(watcher.seen), cpu_seconds(process)
        wait_for(watcher, plan.backlog, process)
        outcome.busy = per_event(before, cpu_seconds(process), plan.backlog - first)
        times, counts = commits(watcher.seen)
        late = np.cumsum(counts) > first
        seconds = np.diff(times, prepend=times[0])[late]
        outcome.rate = float(counts[late].sum() / seconds.sum())
        outcome.rates = (counts[late] / seconds).tolist()

    def _steady(
        self,
        plan: Plan,
        events: list[Event],
        kafka: KafkaSettings,
        watcher: Watcher,
        process: psutil.Process,
        outcome: Outcome,
    ) -> None:
        with sending(kafka, events[plan.backlog :], plan.rate) as sent:
            time.sleep(WARM_SECONDS)
            first, before = len(watcher.seen), cpu_seconds(process)
            wait_for(watcher, plan.events, process)
            taken = cpu_seconds(process)
        outcome.calm = per_event(before, taken, plan.events - first)
        pins = list(sent)[int(WARM_SECONDS * plan.rate) :]
        for window in np.array_split(np.array(pins), WINDOWS):
            outcome.late.append([watcher.seen[pin] - sent[pin] for pin in window.tolist()])


def per_event(before: Counter[str], after: Counter[str], events: int) -> dict[str, float]:
    """Seconds of CPU an event, by kind of process."""
    return {kind: (after[kind] - before[kind]) / events for kind in after}


def wait_for(watcher: Watcher, events: int, process: psutil.Process) -> None:
    deadline = time.monotonic() + DRAIN_SECONDS
    while len(watcher.seen) < events:
        if time.monotonic() > deadline or not process.is_running():
            raise StreamError(f"{events - len(watcher.seen)} events are not visible.")
        time.sleep(0.05)


def batches(log: Path) -> tuple[list[int], list[dict[str, float]]]:
    """Events, and seconds by stage, of every batch that a stream has written of."""
    found = BATCH.findall(log.read_text("utf-8", errors="replace"))
    sizes = [int(events) for events, _ in found]
    return sizes, [{name: float(s) for name, s in STAGE.findall(stages)} for _, stages in found]
