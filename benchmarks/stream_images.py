"""`neardup bench stream_images`: events with JPEG bytes, beside decoding and network alone."""

import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from neardup.benchmarks.figures import Figure, compared
from neardup.benchmarks.stream import by_kind, ours, stages
from neardup.benchmarks.stream_events import Event, jpeg_events
from neardup.benchmarks.stream_run import Plan
from neardup.infra.kafka import Broker
from neardup.models.images import decode
from neardup.schemas.events import PinEvent, parse_event
from neardup.schemas.settings import ModelSettings
from neardup.streaming.hashing import embedder_of

PINS = 100_000
RATE = 50.0
REPEATS = 5


def run(quick: bool, seed: int) -> list[Figure]:
    """Images a second of a backlog, over a lake of PINS."""
    plan = Plan(1_500, 10.0, RATE) if quick else Plan(15_000, 30.0, RATE)
    events = jpeg_events(plan.events, seed)
    alone = embedded(events[: plan.backlog // 7])
    with tempfile.TemporaryDirectory(prefix="neardup-images-") as name:
        directory = Path(name)
        with Broker(directory / "kafka") as broker:
            own = ours(PINS, plan, events, seed, directory / "own", broker)
    row = compared(
        f"{PINS:,} pins: events of a backlog with JPEG bytes",
        "events/s",
        own.rates,
        "decoding and network alone, a process a core",
        alone,
        target=">= 150 a second, ratio >= .8",
        quality=f"in all {own.rate:.0f} a second; p50 at {RATE:g} events/s "
        f"{np.median(own.percentiles(50)):.2f} s; CPU in ms an event: {by_kind(own.busy, 1e3)}; "
        f"stages in s: {stages(own.batches)}",
    )
    assert row.peer_value
    row.ratio = own.rate / row.peer_value
    row.met = own.rate >= 150 and row.ratio >= 0.8
    return [row]


def embedded(events: list[Event]) -> list[float]:
    """Images a second, of each repeat."""
    rates = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_embed, events[:20], chunksize=1))  # the network is loaded
        for _ in range(REPEATS):
            begin = time.perf_counter()
            list(pool.map(_embed, events, chunksize=16))
            rates.append(len(events) / (time.perf_counter() - begin))
    return rates


def _embed(event: Event) -> None:
    parsed = parse_event(event.pin_id.encode(), event.value, 2**23)
    assert isinstance(parsed, PinEvent) and parsed.image is not None
    embedder_of(ModelSettings()).embed([decode(parsed.image)])
