"""`neardup bench soak`: an hour at a steady rate, and a burst of twenty times that in between.

A real broker, `neardup stream` as a process of its own. Seen from outside: memory of each kind of
process, files of each table, seconds of a batch, events that wait.
"""

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from neardup.benchmarks import stream_run
from neardup.benchmarks.figures import Figure, figure
from neardup.benchmarks.processes import NEARDUP, anonymous, memory, python_process
from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic, offset_ranges
from neardup.models.hasher import Hasher
from neardup.schemas.errors import StreamError
from neardup.schemas.events import PinEvent, encode_embedding
from neardup.schemas.lake import Lake
from neardup.schemas.settings import KafkaSettings
from neardup.schemas.tables import TABLES
from neardup.streaming.produce import PinProducer, paced

BURST = 20
BURST_SHARE = 1 / 60
"""Of the whole time: twenty times the rate for one second in sixty is a third more events."""
SAMPLE_SECONDS = 5.0
DRAIN_SECONDS = 900.0

SETTINGS = """\
[lake]
path = "lake"
[kafka]
bootstrap_servers = "{bootstrap}"
topic = "soak"
[stream]
flush_pins = 512
maintenance_seconds = 30
"""


@dataclass
class Soak:
    """``samples`` of memory in bytes by kind of process; ``anonymous``, what of it all is no page
    of a file, and ``open_files`` of the driver at each; ``files``: the most that a table had;
    ``lag`` events that waited at each sample; ``batches``: (events, seconds); ``drained``: seconds
    from the burst's end until nothing waited; ``events``: all that were sent."""

    samples: list[Counter[str]] = field(default_factory=list)
    anonymous: list[int] = field(default_factory=list)
    open_files: list[int] = field(default_factory=list)
    files: Counter[str] = field(default_factory=Counter)
    lag: list[int] = field(default_factory=list)
    batches: list[tuple[int, float]] = field(default_factory=list)
    drained: float = 0.0
    events: int = 0


def run(quick: bool, seed: int) -> list[Figure]:
    """The figures of a soak; ``quick``: of two minutes at a tenth of the rate."""
    return rows(120.0, 20.0, seed) if quick else rows(3600.0, 200.0, seed)


def soak(seconds: float, rate: float, seed: int) -> Soak:
    """A third of the time at ``rate`` events a second, a burst, and the rest at ``rate``."""
    with tempfile.TemporaryDirectory(prefix="neardup-soak-") as name:
        directory = Path(name)
        with Broker(directory / "kafka") as broker:
            kafka = KafkaSettings(bootstrap_servers=broker.bootstrap, topic="soak")
            create_topic(broker.bootstrap, kafka.topic, 2)
            config, log = directory / "neardup.toml", directory / "stream.log"
            config.write_text(SETTINGS.format(bootstrap=broker.bootstrap), "utf-8")
            with python_process([*NEARDUP, "stream", "--config", str(config)], log) as process:
                seen = Watch(Lake(directory / "lake"), kafka, log)
                _run(seen, process, seconds, rate, seed)
            seen.found.batches = batches(log)
    return seen.found


class Watch:
    """Looks at the tables and the topic."""

    def __init__(self, lake: Lake, kafka: KafkaSettings, log: Path) -> None:
        self.lake, self.kafka, self.log, self.found = lake, kafka, log, Soak()

    def waiting(self) -> int:
        """Events that are in the topic and in neither table."""
        ends = offset_ranges(self.kafka, self.kafka.topic)
        self.found.events = sum(end for _, end in ends.values())
        done = sum(self.lake.dataset(name).count_rows() for name in ("pins", "quarantine"))
        return self.found.events - int(done)

    def files(self) -> Counter[str]:
        return Counter({name: len(self.lake.table(name).file_uris()) for name in TABLES})


def _run(seen: Watch, process: psutil.Process, seconds: float, rate: float, seed: int) -> None:
    burst = seconds * BURST_SHARE
    events = _events(seed)
    first = seconds / 3
    plan = [(first, rate), (burst, BURST * rate), (seconds - first - burst, rate)]
    begin = time.monotonic()
    with _sending(seen.kafka, events, plan):
        while time.monotonic() < begin + seconds:
            time.sleep(SAMPLE_SECONDS)
            _sample(seen, process)
            after = time.monotonic() - begin - first - burst
            if after > 0 and not seen.found.drained and seen.found.lag[-1] < 2 * rate:
                seen.found.drained = after
    deadline = time.monotonic() + DRAIN_SECONDS
    while seen.waiting():
        if time.monotonic() > deadline:
            raise StreamError(f"{seen.waiting()} events still wait {DRAIN_SECONDS:.0f} s later.")
        time.sleep(0.5)
    _sample(seen, process)


def _sample(seen: Watch, process: psutil.Process) -> None:
    if process.status() == psutil.STATUS_ZOMBIE:
        words = seen.log.read_text("utf-8", errors="replace")[-3000:]
        raise StreamError(f"The stream has ended:\n{words}")
    seen.found.samples.append(memory(process))
    seen.found.anonymous.append(anonymous(process).total())
    seen.found.open_files.append(process.num_fds())
    seen.found.files |= seen.files()
    seen.found.lag.append(seen.waiting())


@contextmanager
def _sending(
    kafka: KafkaSettings, events: Iterator[PinEvent], plan: list[tuple[float, float]]
) -> Iterator[None]:
    """Send in a thread, for each (seconds, events a second)."""

    def send() -> None:
        with PinProducer(kafka, kafka.topic) as producer:
            for seconds, rate in plan:
                parts = (next(events) for _ in range(int(seconds * rate)))
                for event in paced(parts, rate):
                    producer.send(event)

    thread = threading.Thread(target=send)
    thread.start()
    yield
    thread.join()


def _events(seed: int) -> Iterator[PinEvent]:
    """Families of eight pins that are near one another; every fourth pin has a new version."""
    hasher, rng = Hasher.load(), np.random.default_rng(seed)
    number = 0
    while True:
        base = rng.standard_normal(hasher.dim)
        names = [f"pin-{number + i}" for i in range(8)]
        number += 8
        for name in chain(names, names[::4]):
            vector = base + 0.2 * rng.standard_normal(hasher.dim)
            yield PinEvent(
                pin_id=name,
                created_at=datetime.now(UTC),
                source="soak",
                embedding=encode_embedding(hasher.embedder, vector.astype(np.float32)),
            )


def batches(log: Path) -> list[tuple[int, float]]:
    """(events, seconds) of every batch that a stream has written of."""
    sizes, stages = stream_run.batches(log)
    return [(events, sum(own.values())) for events, own in zip(sizes, stages, strict=True)]


def rows(seconds: float, rate: float, seed: int) -> list[Figure]:
    """The figures of a soak."""
    found = soak(seconds, rate, seed)
    third = max(1, len(found.samples) // 3)
    figures = [
        figure(
            f"soak of {seconds / 60:.0f} min at {rate:.0f} events/s: {kind}, last third",
            "MB",
            [sample[kind] / 1e6 for sample in found.samples[-third:]],
            quality=f"thirds before: {_megabytes(found.samples[:third], kind)}, "
            f"{_megabytes(found.samples[third:-third], kind)}",
            seed=seed,
        )
        for kind in sorted(found.samples[-1])
    ]
    times = [s for events, s in found.batches if 0 < events < 4 * rate]
    part = max(1, len(times) // 3)
    full = [f"{events} in {s:.1f} s" for events, s in sorted(found.batches)[-3:]]
    held = [median(found.anonymous[at : at + third]) for at in (third, 2 * third)]
    return [
        *figures,
        figure(
            "soak: memory outside the page cache of a further event, last third to the one before",
            "bytes",
            [(held[1] - held[0]) / (rate * seconds / 3)],
            quality=f"{held[0] / 1e6:.0f} MB, then {held[1] / 1e6:.0f} MB",
            seed=seed,
        ),
        figure(
            "soak: seconds of a calm batch, last third",
            "s",
            times[-part:],
            quality=f"first third {median(times[:part]):.2f} s; {len(found.batches)} batches",
            seed=seed,
        ),
        figure(
            f"soak: seconds from the end of a burst of {BURST} times the rate until lag is back",
            "s",
            [found.drained],
            quality=f"most that waited {max(found.lag)}; largest batches {', '.join(full)}",
            seed=seed,
        ),
        figure(
            "soak: open files of the driver, last third",
            "files",
            found.open_files[-third:],
            quality=f"thirds before: {median(found.open_files[:third]):.0f}, "
            f"{median(found.open_files[third:-third]):.0f}",
            seed=seed,
        ),
        figure(
            "soak: most files of a table",
            "files",
            [max(found.files.values())],
            quality=f"{found.files.most_common(3)}; {found.events} events, 0 wait at the end",
            seed=seed,
        ),
    ]


def _megabytes(samples: list[Counter[str]], kind: str) -> str:
    return f"{median(sample[kind] for sample in samples) / 1e6:.0f} MB"
