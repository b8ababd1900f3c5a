"""`neardup bench smoke`: the stages of a micro-batch, and the pieces below them.

Small on purpose: it shows that the shape of a benchmark stands, and where a batch's time goes.
"""

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from neardup.benchmarks.figures import Figure, compared, figure
from neardup.benchmarks.system import local_system
from neardup.index.hamming import pairs_within
from neardup.index.ids import id_hashes
from neardup.index.segment import build_segment
from neardup.index.terms import TermPlan
from neardup.infra.spark import spark_session
from neardup.models.classifier import Classifier, log_odds_numpy
from neardup.models.embed import open_embedder
from neardup.models.hasher import Hasher
from neardup.models.scorer import TensorFlowScorer
from neardup.schemas.events import PinEvent, encode_embedding
from neardup.schemas.lake import Lake
from neardup.schemas.settings import SparkSettings
from neardup.schemas.tables import PINS
from neardup.streaming.consumer import Consumer
from neardup.streaming.microbatch import BatchReport
from neardup.streaming.produce import PinProducer

EVENTS_PER_BATCH = 1_000


def run(quick: bool, seed: int) -> list[Figure]:
    """The figures; ``quick`` takes fewer repeats of each."""
    rng = np.random.default_rng(seed)
    repeats = 5 if quick else 15
    return [
        scan(rng, repeats),
        segment_bytes(rng),
        score(rng, repeats),
        commit(repeats),
        *stages(rng, batches=6 if quick else 20),
    ]


def scan(rng: np.random.Generator, repeats: int) -> Figure:
    """The memtable's brute-force kernel beside numpy's."""
    queries, memtable = (rng.integers(0, 256, (n, 128), np.uint8) for n in (100, 16_384))
    words, others = queries.view(np.uint64), memtable.view(np.uint64)

    def by_numpy() -> int:
        near = 0
        for query in words:
            near += int((np.bitwise_count(others ^ query).sum(axis=1, dtype=np.int32) <= 440).sum())
        return near

    pairs_within(queries[:2], memtable[:2], 440)  # compiled before it is timed
    own, peer = alternate(repeats, lambda: len(pairs_within(queries, memtable, 440)[0]), by_numpy)
    found = len(pairs_within(queries, memtable, 440)[0])
    size = len(queries) * len(memtable) / 1e6
    return compared(
        "memtable scan, 1,024 bits, one thread",
        "M comparisons/s",
        [size / s for s in own],
        "numpy bitwise_count",
        [size / s for s in peer],
        quality=f"pairs found: {found} and {by_numpy()}",
    )


def segment_bytes(rng: np.random.Generator) -> Figure:
    """What a segment of random signatures takes, beside plain int64 posting lists."""
    n, plan = 16_384, TermPlan()
    signatures, ordinals = rng.integers(0, 256, (n, 128), np.uint8), np.arange(n)
    ids = id_hashes([f"pin-{i}" for i in range(n)])
    built = build_segment((0, n), ordinals, signatures, ids, ordinals, plan)
    postings = sum(len(b) for name, b in built.blocks.items() if name.startswith("band-"))
    row = figure(
        "postings of a pin in a segment of 16,384",
        "bytes",
        [postings / n],
        peer="int64 lists",
        peer_value=8.0 * plan.bands,
        quality=f"whole segment {sum(map(len, built.blocks.values())) / n:.0f} bytes a pin",
    )
    row.ratio = row.value / (8.0 * plan.bands)
    return row


def score(rng: np.random.Generator, repeats: int) -> Figure:
    """The classifier in TensorFlow beside the same weights in numpy."""
    classifier = Classifier.load()
    scorer = TensorFlowScorer(classifier)
    left, right = (rng.integers(0, 256, (4 * scorer.batch, 128), np.uint8) for _ in range(2))
    scorer.log_odds(left, right)
    own, peer = alternate(
        repeats,
        lambda: scorer.log_odds(left, right),
        lambda: log_odds_numpy(classifier, left, right),
    )
    worst = np.abs(scorer.log_odds(left, right) - log_odds_numpy(classifier, left, right)).max()
    return compared(
        "pairs scored, one process",
        "pairs/s",
        [len(left) / s for s in own],
        "numpy",
        [len(left) / s for s in peer],
        quality=f"greatest difference of a score: {worst:g}",
    )


def commit(repeats: int) -> Figure:
    """An append of 1,000 rows to `pins` through delta-rs beside Spark's Delta writer."""
    rows = pa.Table.from_pylist([pin_row(i) for i in range(1_000)], schema=PINS.schema)
    with tempfile.TemporaryDirectory(prefix="neardup-smoke-") as directory:
        ours, sparks = (Lake.create(Path(directory) / name) for name in ("ours", "sparks"))
        spark = spark_session(SparkSettings(), "neardup-smoke")
        try:
            path = str(sparks.path / "pins")

            def by_spark() -> None:
                frame = spark.createDataFrame(rows).coalesce(1)
                frame.write.format("delta").mode("append").save(path)

            for _ in range(3):
                by_spark()  # the first appends of a JVM take seconds
            own, peer = alternate(repeats, lambda: ours.append("pins", rows), by_spark)
            counts = [lake.dataset("pins").count_rows() for lake in (ours, sparks)]
        finally:
            spark.stop()
    return compared(
        "append of 1,000 rows to `pins`",
        "ms",
        [1e3 * s for s in own],
        "Spark's Delta writer",
        [1e3 * s for s in peer],
        target="ratio <= .2",
        met=float(np.median(own) / np.median(peer)) <= 0.2,
        quality=f"rows: {counts[0]} and {counts[1]} (3 appends to warm up)",
    )


def pin_row(i: int) -> dict[str, Any]:
    """A row of `pins` of the usual size."""
    return {
        "pin_id": f"pin-{i}",
        "kind": "add",
        "ordinal": i,
        "signature": bytes(128),
        "links": [{"ordinal": i, "overlap": 1, "hamming": 9, "score": 1.0}],
        "batch_seq": 0,
        "topic_id": "topic",
        "partition": 0,
        "offset": i,
        "event_time": 0,
    }


def stages(rng: np.random.Generator, batches: int) -> list[Figure]:
    """Seconds of each stage of batches of 1,000 events with embeddings, a tenth of them copies."""
    reports: list[BatchReport] = []
    with (
        tempfile.TemporaryDirectory(prefix="neardup-smoke-") as directory,
        local_system(
            Path(directory),
            stream={"max_events_per_batch": EVENTS_PER_BATCH, "flush_pins": 4096},
        ) as settings,
    ):
        with PinProducer(settings.kafka.bootstrap_servers, settings.kafka.topic) as producer:
            for event in tqdm(embedding_events(rng, batches * EVENTS_PER_BATCH), desc="sending"):
                producer.send(event)
        begin = time.perf_counter()
        Consumer(settings, reports.append).run(once=True)
        total = time.perf_counter() - begin
    warm = reports[1:]
    links = sum(report.links for report in reports)
    whole = [sum(report.seconds.values()) for report in warm]
    figures = [
        figure(
            "a batch of 1,000 events, our part",
            "s",
            whole,
            quality=f"{links} links; {len(reports)} batches in {total:.1f} s with the start",
        )
    ]
    for stage in reports[0].seconds:
        figures.append(figure(f"... {stage}", "s", [r.seconds[stage] for r in warm]))
    return figures


def embedding_events(rng: np.random.Generator, n: int) -> list[PinEvent]:
    """Events with random embeddings about the hasher's mean; every tenth repeats an earlier one."""
    embedder, hasher = open_embedder("mobilenet_v1"), Hasher.load()
    vectors = hasher.mean + rng.normal(0, hasher.mean.std(), (n, hasher.dim)).astype(np.float32)
    for i in range(10, n, 10):
        noise = rng.normal(0, 0.1 * hasher.mean.std(), hasher.dim)
        vectors[i] = vectors[rng.integers(0, i)] + noise.astype(np.float32)
    now = datetime.now(UTC)
    return [
        PinEvent(
            pin_id=f"pin-{i}",
            created_at=now,
            embedding=encode_embedding(embedder.name, vectors[i].astype(np.float32)),
        )
        for i in range(n)
    ]


def alternate(
    repeats: int, own: Callable[[], object], peer: Callable[[], object]
) -> tuple[list[float], list[float]]:
    """Seconds of both, taken in turn so that a noisy machine disturbs both alike."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for call, taken in zip((own, peer), seconds, strict=True):
            begin = time.perf_counter()
            call()
            taken.append(time.perf_counter() - begin)
    return seconds
