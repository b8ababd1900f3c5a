"""`neardup bench stream`: how late, how fast, at what price, beside what the platform alone takes.

A real broker, `neardup stream` as a process of its own, a lake that holds so many pins already. A
backlog first, which tells how many events a second the stream can do at most; then a steady rate,
and a reader of the `clusters` table who notes when each event becomes visible. The peers get the
same events in the same run: Spark's own Kafka -> Delta stream, and a ``foreachBatch`` that does
nothing.
"""

import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.compute as pc

from neardup.benchmarks.figures import Figure, compared, figure
from neardup.benchmarks.processes import NEARDUP, python_process
from neardup.benchmarks.stream_events import (
    Event,
    embedding_events,
    send_all,
    sending,
)
from neardup.benchmarks.stream_lake import lake_of
from neardup.benchmarks.stream_run import Outcome, Plan, Run
from neardup.benchmarks.system import settings_file, topic_of
from neardup.index.lake_segments import searched_segments
from neardup.infra.kafka import Broker
from neardup.schemas.lake import Lake
from neardup.schemas.tables import TABLES

SIZES = (0, 100_000, 1_000_000)
JUDGED = 1_000_000
SIGNATURE_AND_ID = 128 + len("pin-00000000")
EMPTY_SECONDS = 20.0


def of_size(events: int) -> str:
    """Settings by which all batches of a backlog hold so many events, from the first on."""
    return f"[stream]\nfirst_events_per_batch = {events}\nmax_events_per_batch = {events}\n"


BATCHES = of_size(4_000)
"""Of the stream and its peers: Spark's own would take a whole backlog in one commit."""
PEER = ["-m", "neardup.benchmarks.stream_peers"]


def run(quick: bool, seed: int) -> list[Figure]:
    """The figures of lakes of SIZES; ``quick``: of one of 100,000 pins, with fewer events."""
    sizes = SIZES[1:2] if quick else SIZES
    plan = Plan(24_000, 20.0) if quick else Plan(40_000, 60.0)
    return measured(sizes, plan, embedding_events(plan.events, seed), seed)


def measured(sizes: Sequence[int], plan: Plan, events: list[Event], seed: int) -> list[Figure]:
    """The peers, then the stream over a lake of each size."""
    with tempfile.TemporaryDirectory(prefix="neardup-stream-") as name:
        directory = Path(name)
        with Broker(directory / "kafka") as broker:
            empty = empty_peer(plan, events, directory / "empty", broker)
            append = append_peer(plan, events, directory / "append", broker)
            rows: list[Figure] = []
            taken: dict[int, int] = {}
            for n in sizes:
                own = ours(n, plan, events, seed, directory / str(n), broker)
                rows += judged(n, own, append, empty)
                taken[n] = own.anonymous.total()
    return rows + growth(taken)


def growth(taken: Mapping[int, int]) -> list[Figure]:
    """Of memory outside the page cache, from one lake to the next larger one."""
    return [
        figure(
            f"{many:,} pins: memory of a further pin, outside the page cache",
            "bytes",
            [(taken[many] - taken[few]) / (many - few)],
            target="<= 64" if many == JUDGED else None,
            met=met(many, taken[many] - taken[few] <= 64 * (many - few)),
            quality=f"{taken[many] / 2**20:.0f} MiB in all, with {few:,} pins "
            f"{taken[few] / 2**20:.0f}",
        )
        for few, many in pairwise(sorted(taken))
    ]


def append_peer(plan: Plan, events: list[Event], directory: Path, broker: Broker) -> Outcome:
    """Spark's own Kafka -> Delta stream: the floor of the platform."""
    kafka = topic_of(broker, "append")
    config = settings_file(directory, kafka, BATCHES)
    send_all(kafka, events[: plan.backlog])
    run = Run([*PEER, "append", str(config)], directory, directory / "append", "key")
    return run.of(plan, events, kafka)


def empty_peer(plan: Plan, events: list[Event], directory: Path, broker: Broker) -> float:
    """Seconds of a trigger whose ``foreachBatch`` does nothing."""
    kafka = topic_of(broker, "empty")
    config = settings_file(directory, kafka, BATCHES)
    log = directory / "stream.log"
    with (
        python_process([*PEER, "empty", str(config)], log),
        sending(kafka, events[plan.backlog :], plan.rate),
    ):
        time.sleep(min(plan.seconds, EMPTY_SECONDS))
    found = re.search(r"triggers ([\d.]+)", log.read_text("utf-8"))
    assert found
    return float(found[1])


def ours(
    n: int,
    plan: Plan,
    events: list[Event],
    seed: int,
    directory: Path,
    broker: Broker,
    batches: str = BATCHES,
) -> Outcome:
    """`neardup stream` over a lake of ``n`` pins; ``batches``: settings of how large they are."""
    lake_of(n, seed, directory)
    kafka = topic_of(broker, f"pins-{n}")
    config = settings_file(directory, kafka, batches)
    if plan.behind:
        send_all(kafka, events[: plan.backlog])
    before = stored(directory / "lake")
    run = Run(
        [*NEARDUP, "stream", "--config", str(config)],
        directory,
        directory / "lake" / "clusters",
        "pin_id",
        {"TMPDIR": str(directory)},  # where its decoded segments are
    )
    outcome = run.of(plan, events, kafka)
    Lake(directory / "lake").maintain()
    outcome.stored = {
        table: (size - before[table]) / plan.events
        for table, size in stored(directory / "lake").items()
    }
    return outcome


def stored(lake: Path) -> dict[str, int]:
    """Bytes of the newest snapshot of each table, without segments that others have replaced: they
    are kept for readers for a while."""
    opened = Lake(lake)
    searched = pa.array(searched_segments(opened), pa.string())
    sizes = {}
    for name in TABLES:
        files = pa.table(opened.table(name).get_add_actions(flatten=True))
        if name == "segments":
            files = files.filter(pc.is_in(files["partition.segment_id"].cast("string"), searched))
        sizes[name] = sum(files["size_bytes"].to_pylist())
    return sizes


def judged(n: int, own: Outcome, append: Outcome, empty: float) -> list[Figure]:
    """The rows of one lake."""
    of = f"{n:,} pins"
    calm, busy = sum(own.calm.values()), sum(own.busy.values())
    p50, p95 = own.percentiles(50), own.percentiles(95)
    return [
        compared(
            f"{of}: from `produce` to visible at 200 events/s, p50",
            "s",
            p50,
            "Spark's Kafka -> Delta stream",
            append.percentiles(50),
            target="<= 1.0 s, ratio <= 2.5" if n == JUDGED else None,
            met=met(n, median(p50) <= 1 and median(p50) <= 2.5 * median(append.percentiles(50))),
            quality=f"a trigger with an empty foreachBatch: {empty:.3f} s; "
            f"stages in s: {stages(own.calm_batches)}",
        ),
        compared(
            "... p95",
            "s",
            p95,
            "the same",
            append.percentiles(95),
            target="<= 2.0 s" if n == JUDGED else None,
            met=met(n, median(p95) <= 2),
            quality=f"p99: {median(own.percentiles(99)):.2f} s, "
            f"the peer's {median(append.percentiles(99)):.2f} s",
        ),
        compared(
            f"{of}: events of a backlog",
            "events/s",
            own.rates,
            "the same",
            append.rates,
            target=">= 2,000 a second, ratio >= .3" if n == JUDGED else None,
            met=met(n, own.rate >= 2000 and own.rate >= 0.3 * append.rate),
            quality=f"in all {own.rate:.0f} and {append.rate:.0f} a second; stages in s: "
            f"{stages(own.batches)}",
        ),
        compared(
            f"{of}: CPU of an event of a backlog, all processes but the broker",
            "ms",
            [1e3 * busy],
            "the same",
            [1e3 * sum(append.busy.values())],
            quality=f"{by_kind(own.busy, 1e3)}; at 200 events/s {1e3 * calm:.2f} ms, the peer "
            f"{1e3 * sum(append.calm.values()):.2f} ms",
        ),
        figure(
            f"{of}: memory of all processes",
            "MiB",
            [sum(own.memory.values()) / 2**20],
            quality=f"{by_kind(own.memory, 2**-20)}; the peer: {by_kind(append.memory, 2**-20)}",
        ),
        figure(f"{of}: seconds until it is ready", "s", [own.start], target="< 20"),
        figure(
            f"{of}: bytes stored of an event, all tables, after compaction",
            "bytes",
            [sum(own.stored.values())],
            peer="signature and id",
            peer_value=SIGNATURE_AND_ID,
            ratio=sum(own.stored.values()) / SIGNATURE_AND_ID,
            target="ratio <= 3",
            met=sum(own.stored.values()) <= 3 * SIGNATURE_AND_ID,
            quality=by_kind(own.stored, 1),
        ),
    ]


def met(n: int, reached: bool) -> bool | None:
    return reached if n == JUDGED else None


def stages(batches: list[dict[str, float]]) -> str:
    """Medians, without the first batches, which load what they need."""
    warm = batches[2:]
    names = list(warm[0]) if warm else []
    return ", ".join(f"{name} {median(b[name] for b in warm):.3f}" for name in names)


def by_kind(values: Mapping[str, float], scale: float) -> str:
    return ", ".join(f"{name} {scale * value:.3g}" for name, value in values.items())
