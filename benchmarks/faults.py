"""`neardup bench faults`: what it costs that any process may be killed at any moment.

The crash points are tried here, unless NEARDUP_FAULTS_JSON is what `make faults` left. The rest is
measured on `neardup stream` as a process of its own, with a real broker, killed by SIGKILL
and started again at once: how much of its throughput is left with a kill a minute, how many
triggers it takes until it lags no more than before, and how long a start takes.
"""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec

from neardup.benchmarks import fuzz
from neardup.benchmarks.faults_run import Stream, lags, same_events
from neardup.benchmarks.figures import ROOT, Figure, compared, figure
from neardup.benchmarks.stream_events import Event, embedding_events, send_all, sending
from neardup.benchmarks.stream_lake import lake_of
from neardup.benchmarks.system import topic_of
from neardup.benchmarks.watch import commits
from neardup.infra.kafka import Broker

VARIABLE = "NEARDUP_FAULTS_JSON"
JUDGED = 1_000_000


class Plan(NamedTuple):
    """``backlog`` events with a kill every ``every`` seconds, at ``most`` so often: a machine that
    takes longer to start would never come to an end; ``kills`` at ``rate`` events a second,
    each after ``calm`` seconds; ``starts`` of lakes of ``sizes``. The full one takes 20 minutes on
    two cores."""

    backlog: int
    every: float
    most: int
    kills: int
    rate: float
    calm: float
    sizes: Sequence[int]
    starts: int


FULL = Plan(300_000, 60.0, 20, 5, 200.0, 60.0, (0, 100_000, JUDGED), 1)
QUICK = Plan(13_000, 4.0, 1, 1, 50.0, 10.0, (0,), 1)
SENT_SECONDS = 500.0
WARM_SECONDS = 5.0
EMPTY_BATCH = re.compile(r"batch \d+: 0 events")
RESTART_EVENTS = 100


def run(quick: bool, seed: int) -> list[Figure]:
    """All figures; ``quick``: a chain of crash points, one kill each, an empty lake."""
    plan = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="neardup-faults-") as name:
        directory = Path(name)
        rows = matrix(quick, directory)
        with Broker(directory / "kafka") as broker:
            events = embedding_events(plan.backlog, seed)
            rows.append(throughput(plan, events, seed, broker, directory))
            rows.append(recovery(plan, events, seed, broker, directory))
            rows += restarts(plan, events, seed, broker, directory)
    return rows + fuzz.rows(quick, seed)


def matrix(quick: bool, directory: Path) -> list[Figure]:
    """Crash points and other faults x tables, from the tests' own results."""
    path = Path(os.environ.get(VARIABLE, directory / "faults.json"))
    if not path.exists():
        chosen = ["-k", "killed_again_and_again"] if quick else []
        words = ["-m", "pytest", "-q", "tests/faults", "-m", "path or faults", *chosen]
        tests = {**os.environ, VARIABLE: str(path)}
        subprocess.run([sys.executable, *words], cwd=ROOT, env=tests, check=False)
    lines: list[dict[str, Any]] = msgspec.json.decode(path.read_bytes())
    drained_ones = [line for line in lines if line["tables"]]
    pairs = sum(line["tables"] for line in drained_ones)
    equal = sum(line["equal"] for line in drained_ones)
    return [
        figure(
            "faults x tables equal to the oracle, row by row",
            "pairs",
            [equal],
            target=f"all {pairs}",
            met=equal == pairs,
            quality=f"{len(drained_ones)} faults, each mended by a start; after "
            f"{len(lines) - len(drained_ones)} more it stopped with the right sentence",
        )
    ]


def throughput(
    plan: Plan, events: list[Event], seed: int, broker: Broker, directory: Path
) -> Figure:
    """A backlog in peace, and once more with kills."""
    kafka = topic_of(broker, "storm")
    send_all(kafka, events)
    rng = random.Random(seed)  # noqa: S311
    with (
        Stream(directory / "calm", kafka) as calm,
        Stream(directory / "storm", kafka) as rough,
    ):
        peace, _ = drained(calm, len(events), iter(()))
        calm.kill()
        storm, kills = drained(rough, len(events), islice(every(plan.every, rng), plan.most))
        same = same_events(calm.lake, rough.lake)
    ratio = storm / peace
    return compared(
        f"events of a backlog with a SIGKILL every {plan.every:.0f} s",
        "events/s",
        [storm],
        "without",
        [peace],
        target="ratio >= .7",
        met=ratio >= 0.7 if kills else None,
        quality=f"{kills} kills of seed {seed}; {same}",
    )


def every(seconds: float, rng: random.Random) -> Iterator[float]:
    """Seconds after the first commit at which to kill: a random moment, then again and again."""
    at = rng.uniform(0.3, 1) * seconds
    while True:
        yield at
        at += seconds


def drained(stream: Stream, n: int, kill_at: Iterator[float]) -> tuple[float, int]:
    """Events a second from the first commit to the last one, and how often it was killed."""
    with stream.watcher() as watcher:
        stream.start()
        stream.wait_for(lambda: len(watcher.seen) > 0)
        begin, kills = time.monotonic(), 0
        while not stream.wait_for(
            lambda: len(watcher.seen) >= n, begin + next(kill_at, float("inf"))
        ):
            stream.kill()
            kills += 1
            stream.start()
    times, counts = commits(watcher.seen)
    return float(counts[1:].sum() / (times[-1] - times[0])), kills


def recovery(plan: Plan, events: list[Event], seed: int, broker: Broker, directory: Path) -> Figure:
    """Events at a steady rate, and kills at random moments."""
    kafka = topic_of(broker, "steady")
    rng = random.Random(seed)  # noqa: S311
    with Stream(directory / "steady", kafka) as stream, stream.watcher() as watcher:
        stream.start()
        stream.wait_for(lambda: "ready:" in stream.words())
        with sending(kafka, events[: int(SENT_SECONDS * plan.rate)], plan.rate) as sent:
            found = [
                recovered(stream, watcher.seen, sent, rng, plan.calm) for _ in range(plan.kills)
            ]
    before, triggers, seconds = zip(*found, strict=True)
    return figure(
        f"SIGKILL at {plan.rate:.0f} events/s: triggers after the restart until it lags as before",
        "triggers",
        triggers,
        target="<= 2",
        met=max(triggers) <= 2,
        quality=f"by kill {', '.join(map(str, triggers))}; the greatest lag in {plan.calm:.0f} s "
        f"before: {min(before)} to {max(before)} events; back {median(seconds):.1f} s after",
    )


def recovered(
    stream: Stream,
    seen: Mapping[str, float],
    sent: Mapping[str, float],
    rng: random.Random,
    calm: float,
) -> tuple[int, int, float]:
    """After calm seconds and a kill: the greatest lag before it, batches and seconds until then.

    A minute has a round of maintenance, of which the lag shows as much as of the batches.
    """
    begin = time.monotonic() + WARM_SECONDS
    stream.wait_for(lambda: False, begin + calm + rng.uniform(0, 2))
    times, lag = lags(sent, seen)
    before = int(lag[times > begin].max())
    stream.kill()
    killed, commits_before, said = time.monotonic(), len(times), len(stream.words())
    stream.start()
    stream.wait_for(lambda: bool((lags(sent, seen)[1][commits_before:] <= before).any()))
    after = lags(sent, seen)[1][commits_before:] <= before
    empty = len(EMPTY_BATCH.findall(stream.words()[said:]))
    return before, 1 + empty + int(after.argmax()), time.monotonic() - killed


def restarts(
    plan: Plan, events: list[Event], seed: int, broker: Broker, directory: Path
) -> list[Figure]:
    """From the start of the process to its first batch in `clusters`."""
    empty: list[float] = []
    rows = []
    for n in plan.sizes:
        for decoded, seconds in _restarts(n, plan, events, seed, broker, directory).items():
            judged = n == JUDGED and decoded == "there"
            empty = empty or seconds
            row = compared(
                f"{n:,} pins: restart to the first batch committed, decoded segments {decoded}",
                "s",
                seconds,
                "an empty lake",
                empty,
                target="ratio <= 2" if judged else None,
            )
            row.met = median(seconds) <= 2 * median(empty) if judged else None
            rows.append(row)
    return rows


def _restarts(
    n: int, plan: Plan, events: list[Event], seed: int, broker: Broker, directory: Path
) -> dict[str, list[float]]:
    """Seconds by whether this host has the segments decoded. One start before is not counted."""
    folder = directory / f"restart-{n}"
    lake_of(n, seed, folder)
    kafka = topic_of(broker, folder.name)
    parts = (events[i : i + RESTART_EVENTS] for i in range(0, len(events), RESTART_EVENTS))
    found: dict[str, list[float]] = {"there": [], "gone": []} if n else {"there": []}
    with Stream(folder, kafka) as stream, stream.watcher() as watcher:
        for decoded in [None, *list(found) * plan.starts]:
            if decoded == "gone":
                shutil.rmtree(folder / "neardup-segments")
            part = next(parts)
            send_all(kafka, part)
            seconds = first_batch(stream, watcher.seen)
            stream.wait_for(partial(watcher.seen.__contains__, part[-1].pin_id))
            stream.kill()
            if decoded is not None:
                found[decoded].append(seconds)
    return found


def first_batch(stream: Stream, seen: Mapping[str, float]) -> float:
    """Seconds from the start of a process to its first commit that readers see."""
    begin, before = time.monotonic(), len(seen)
    stream.start()
    stream.wait_for(lambda: len(seen) > before)
    return time.monotonic() - begin
