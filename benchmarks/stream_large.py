"""`neardup bench stream_large`: a batch over ten million pins beside one over a million.

Its first run makes the large lake, which takes 20 GB of the user's cache.
"""

import tempfile
from pathlib import Path
from statistics import median

from neardup.benchmarks.figures import Figure, compared, figure
from neardup.benchmarks.stream import by_kind, of_size, ours, stages
from neardup.benchmarks.stream_events import embedding_events
from neardup.benchmarks.stream_run import Outcome, Plan
from neardup.infra.kafka import Broker

SIZES = (1_000_000, 10_000_000)
PLAN = Plan(backlog=24_000, seconds=30.0, behind=False)  # both have TensorFlow in memory
BATCH = 2_000
"""All of one size: a stream that is behind would make them larger over fewer pins."""


def run(quick: bool, seed: int) -> list[Figure]:
    """Batch time and memory of both; ``quick``: of a tenth of them."""
    sizes = [n // 10 if quick else n for n in SIZES]
    events = embedding_events(PLAN.events, seed)
    with tempfile.TemporaryDirectory(prefix="neardup-stream-") as name:
        directory = Path(name)
        with Broker(directory / "kafka") as broker:
            few, many = (
                ours(n, PLAN, events, seed, directory / str(n), broker, of_size(BATCH))
                for n in sizes
            )
    row = compared(
        f"{sizes[1]:,} pins: a batch of {BATCH:,} events of a backlog",
        "s",
        seconds(many),
        f"{sizes[0]:,} pins",
        seconds(few),
        target="ratio <= 1.5",
        quality=f"stages in s: {stages(full(many))}; with fewer pins {stages(full(few))}",
    )
    assert row.ratio is not None
    row.met = None if quick else row.ratio <= 1.5
    growth = (many.anonymous.total() - few.anonymous.total()) / (sizes[1] - sizes[0])
    memory = figure(
        f"{sizes[1]:,} pins: memory of a further pin, outside the page cache",
        "bytes",
        [growth],
        target="<= 64",
        met=None if quick else growth <= 64,
        quality=f"MiB: {by_kind(many.anonymous, 2**-20)}; with {sizes[0]:,} pins "
        f"{by_kind(few.anonymous, 2**-20)}; with pages of files {by_kind(many.memory, 2**-20)}",
    )
    late = compared(
        f"{sizes[1]:,} pins: from `produce` to visible at 200 events/s, p50",
        "s",
        many.percentiles(50),
        f"{sizes[0]:,} pins",
        few.percentiles(50),
        quality=f"p95 {median(many.percentiles(95)):.2f} and {median(few.percentiles(95)):.2f} s",
    )
    ready = compared(
        f"{sizes[1]:,} pins: seconds until it is ready",
        "s",
        [many.start],
        f"{sizes[0]:,} pins",
        [few.start],
    )
    return [row, late, memory, ready]


def seconds(outcome: Outcome) -> list[float]:
    """Of each full batch of the backlog, but for the first two."""
    return [sum(batch.values()) for batch in full(outcome)[2:]]


def full(outcome: Outcome) -> list[dict[str, float]]:
    """Stages of the full batches, of which Spark's rounding takes an event or two."""
    batches = zip(outcome.sizes, outcome.batches, strict=True)
    return [stages for size, stages in batches if size > 0.95 * BATCH]
