"""The continuous consumer: `neardup stream`.

Starts from what the tables say, runs micro-batches until it is told to stop, and stops between
two of them.
"""

import json
import logging
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from neardup.clusters.evidence import Evidence
from neardup.clusters.ledger import (
    generation_row,
    prepared_generation,
    publish,
    require_hasher,
)
from neardup.index.cache import SegmentCache
from neardup.index.calibrate import calibrate
from neardup.index.explain import verdict
from neardup.index.lake_plan import plan_for
from neardup.infra.spark import spark_session
from neardup.infra.topics import partitions, topic_id
from neardup.models.bundle import verify_artifacts
from neardup.models.classifier import Classifier
from neardup.models.hasher import Hasher
from neardup.schemas.errors import NeardupError, StreamError
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings
from neardup.streaming.maintenance import Maintenance
from neardup.streaming.merging import Merging
from neardup.streaming.microbatch import BatchReport, MicroBatch
from neardup.streaming.state import rebuild

log = logging.getLogger(__name__)


EARLIEST = -2
IDLE_SECONDS = 30.0
"""Spark ends Python workers that had no task for a minute; this is well before."""


REVIEWED_PINS = (2**14, 2**17)
"""Sizes at which the planner measures this machine beside a running stream: 90 MB at most."""


class Stopping(Exception):
    """Raised inside a batch that was asked for after the stop: Spark asks for it again later."""


class Consumer:
    """The stream over one lake and one topic. ``run`` once; ``stop`` from any thread."""

    def __init__(
        self, settings: Settings, on_batch: Callable[[BatchReport], None] | None = None
    ) -> None:
        self._settings = settings
        self._on_batch = on_batch or (lambda report: None)
        self._stop = threading.Event()
        self._between_batches = threading.Lock()
        self._signals: tuple[signal.Signals, ...] = ()
        self._last_batch = time.monotonic()
        self._failure: Exception | None = None

    def stop(self) -> None:
        """Finish the running batch, then end ``run``."""
        self._stop.set()

    def stop_on(self, *signals: signal.Signals) -> None:
        """Stop at the first of these signals; a second one does not hurry it."""
        self._signals = signals

    def run(self, once: bool = False) -> None:
        """Consume until ``stop`` is called or, with ``once``, until the topic's present end.

        Raises StreamError when the lake is held by another stream or the topic is another one,
        ArtifactError and LakeError when the models do not fit one another or the lake.
        """
        settings = self._settings
        log.info("models: %s", verify_artifacts(settings.models))
        hasher = Hasher.load(settings.models.hasher)
        classifier = Classifier.load(settings.models.classifier)
        topic = topic_id(settings.kafka.bootstrap_servers, settings.kafka.topic)
        lake = Lake.create(settings.lake.path)
        require_hasher(lake, hasher.version)
        with lake.lease("stream"), tempfile.TemporaryDirectory(prefix="neardup-") as directory:
            spark = spark_session(settings.spark, "neardup-stream", short_jobs=True)
            try:
                self._open(lake, topic, hasher, classifier, spark, Path(directory))
                self._consume(spark, once)
            finally:
                spark.stop()

    def _open(
        self,
        lake: Lake,
        topic: str,
        hasher: Hasher,
        classifier: Classifier,
        spark: SparkSession,
        directory: Path,
    ) -> None:
        if not len(lake.read("generations", ["generation"])):
            generation_row(lake, 0, "published", through_batch_seq=-1)
        cache = SegmentCache(lake.cache_directory(), self._settings.stream.cache_bytes)
        self._evidence = Evidence(classifier.hamming_log_odds, classifier.trusted)
        self._radius = classifier.radius
        state = rebuild(lake, topic, self._evidence, cache, directory)
        self._batch = MicroBatch(spark, self._settings, hasher, classifier, state)
        self._batch.flush()  # one that a crash cut off: the batches after it must find its segment

    def _consume(self, spark: SparkSession, once: bool) -> None:
        for number in self._signals:  # only now: PySpark has set its own for SIGINT
            signal.signal(number, lambda *_: self.stop())
        self._batch.warm_up()
        query = self._start(spark, once)
        log.info(
            "ready: %d pins, next batch %d",
            len(self._batch.state.store),
            self._batch.state.batch_seq,
        )
        stream = self._settings.stream
        with (
            Maintenance(
                self._settings.lake.path, stream.maintenance_seconds, self._publish_prepared
            ),
            Merging(self._batch.state, self._between_batches, stream.flush_pins, self._review_plan),
        ):
            while query.isActive and not self._stop.wait(0.1):
                self._stay_warm()
        self._end(query)

    def _stay_warm(self) -> None:
        if time.monotonic() - self._last_batch > IDLE_SECONDS:
            self._batch.warm_up()
            self._last_batch = time.monotonic()

    def _start(self, spark: SparkSession, once: bool) -> StreamingQuery:
        settings, state = self._settings, self._batch.state
        topic = settings.kafka.topic
        known = partitions(settings.kafka.bootstrap_servers, topic)
        records = (
            spark.readStream.format("kafka")
            .option("kafka.bootstrap.servers", settings.kafka.bootstrap_servers)
            .option("subscribe", topic)
            .option("startingOffsets", starting_offsets(topic, known, state.positions))
            .option("maxOffsetsPerTrigger", settings.stream.max_events_per_batch)
            .option("failOnDataLoss", "true")
            # A consumer's fetch from the batch before may still wait at the topic's end, for half
            # a second by default, and the next batch waits for it: .35 s a batch became .16.
            .option("kafka.fetch.max.wait.ms", "20")
            .load()
        )
        writer = records.writeStream.foreachBatch(self._run_batch).option(
            "checkpointLocation", settings.checkpoint.as_uri()
        )
        if once:
            return writer.trigger(availableNow=True).start()
        return writer.trigger(processingTime=f"{settings.stream.trigger_seconds} seconds").start()

    def _run_batch(self, records: DataFrame, _epoch: int) -> None:
        try:
            with self._between_batches:
                if self._stop.is_set():
                    raise Stopping
                report = self._batch.run(records)
        except Exception as error:
            self._failure = error  # Spark would hand it back as a JVM's stack trace
            raise
        self._last_batch = time.monotonic()
        log.info(report.line())
        self._on_batch(report)

    def _end(self, query: StreamingQuery) -> None:
        # Stopping a query in the middle of a batch overflows the JVM's stack: wait for its end.
        with self._between_batches:
            query.stop()
        failure = self._failure or query.exception()
        if isinstance(failure, NeardupError):
            raise failure
        if failure is not None and not isinstance(failure, Stopping):
            raise StreamError(
                f"Batch {self._batch.state.batch_seq} failed: {type(failure).__name__}: {failure}\n"
                "Nothing is lost; it is done again at the next start."
            ) from failure

    def _review_plan(self) -> str:
        """What the planner thinks of the lake's plan now; a few seconds of one core."""
        planned = plan_for(
            Lake(self._settings.lake.path),
            radius=self._radius,
            costs=calibrate(pins=REVIEWED_PINS),
            max_scored=self._settings.stream.max_links,
        )
        return verdict(planned)

    def _publish_prepared(self, lake: Lake) -> None:
        """Called by the maintenance thread; takes its turn between two batches."""
        prepared = prepared_generation(lake)
        if prepared is None:
            return
        with self._between_batches:
            state = self._batch.state
            state.fold = publish(state.lake, prepared, self._evidence, state.store)
        log.info("published generation %d", prepared["generation"])


def starting_offsets(topic: str, partitions: list[int], positions: dict[int, int]) -> str:
    """Spark's JSON for a stream without checkpoint: one past the last decided offset.

    Partitions that the log does not know yet are read from their beginning (-2 to Spark).
    """
    offsets = {str(p): positions[p] + 1 if p in positions else EARLIEST for p in partitions}
    return json.dumps({topic: offsets})
