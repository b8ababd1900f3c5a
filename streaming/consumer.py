"""The continuous consumer: `neardup stream`.

Starts from what the tables say, runs micro-batches until it is told to stop, and stops between
two of them.
"""

import logging
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql.streaming import StreamingQuery

from neardup.infra.kafka_security import spark_options
from neardup.models.bundle import verify_artifacts
from neardup.schemas.crash import crash_point
from neardup.schemas.damage import storage
from neardup.schemas.errors import NeardupError, StreamError
from neardup.schemas.settings import Settings
from neardup.streaming.changes import publishing
from neardup.streaming.checkpoint import sole_user
from neardup.streaming.halves import LIMIT, halves, is_too_large
from neardup.streaming.microbatch import BatchReport
from neardup.streaming.pace import Bounds, Seen, first_limit, next_limit
from neardup.streaming.topic import Beginning, Topic
from neardup.streaming.writer import Writer, writer

log = logging.getLogger(__name__)


IDLE_SECONDS = 30.0
"""Spark ends Python workers that had no task for a minute; this is well before."""
HEAR_SECONDS = 0.5


class NotNow(Exception):
    """Raised inside a batch that this query must not run: the next one is asked for it again."""


class Stopping(NotNow):
    """The stream is to stop."""


class Resized(NotNow):
    """Batches are to have another size, which Spark's Kafka source takes when it is made."""


class Consumer:
    """The stream over one lake and one topic. ``run`` once; ``stop`` from any thread."""

    def __init__(
        self, settings: Settings, on_batch: Callable[[BatchReport], None] | None = None
    ) -> None:
        self._settings = settings
        self._on_batch = on_batch or (lambda report: None)
        self._stop = threading.Event()
        self._signals: tuple[signal.Signals, ...] = ()
        self._last_batch = time.monotonic()
        self._hears_at = 0.0
        self._failure: Exception | None = None
        stream = settings.stream
        self._bounds = Bounds(
            stream.target_batch_seconds, stream.min_events_per_batch, stream.max_events_per_batch
        )
        self._limit = first_limit(stream.first_events_per_batch, self._bounds)
        self._seen: list[Seen] = []
        self._resized = False
        self._writer: Writer
        self._topic: Topic

    def stop(self) -> None:
        """Finish the running batch, then end ``run``."""
        self._stop.set()

    def stop_on(self, *signals: signal.Signals) -> None:
        """Stop at the first of these signals; a second one does not hurry it."""
        self._signals = signals

    def run(self, once: bool = False, accept_loss: bool = False) -> None:
        """Consume until ``stop`` is called or, with ``once``, until the topic's present end.

        ``accept_loss``: go on behind events that Kafka removed before they were read, and record
        them in `losses`. Raises StreamError when there are such and it is not set, when the lake or
        the checkpoint is held by another stream or the topic is another one, ArtifactError and
        LakeError when the models do not fit one another or the lake.
        """
        settings = self._settings
        log.info("models: %s", verify_artifacts(settings.models))
        with (
            Topic(settings.kafka) as self._topic,
            sole_user(settings.checkpoint),
            writer(settings, self._topic.id, "neardup-stream") as self._writer,
        ):
            self._consume(once, accept_loss)

    def _consume(self, once: bool, accept_loss: bool) -> None:
        for number in self._signals:  # only now: PySpark has set its own for SIGINT
            signal.signal(number, lambda *_: self.stop())
        batch = self._writer.batch
        batch.before_commit = self._topic.require_same
        beginning = self._topic.beginning(batch.state, self._settings.checkpoint, accept_loss)
        if beginning.waiting:
            self._rehearse(beginning)
        else:
            batch.warm_up()
        query = self._start(once, beginning.offsets)
        pins, batch_seq = len(batch.state.store), batch.state.batch_seq
        log.info("ready: %d pins, next batch %d; %d wait", pins, batch_seq, beginning.waiting)
        with self._writer.upkeep(), publishing(self._settings):
            while self._attend(query):
                log.info("batches hold at most %d events from now on", self._limit)
                query = self._start(once, beginning.offsets)
        self._end(query)

    def _attend(self, query: StreamingQuery) -> bool:
        """Until the query ends, or shall; whether another one is to go on after it."""
        while query.isActive and not self._failure and not self._stop.wait(0.1):
            self._stay_warm()
            self._hear()
        if not isinstance(self._failure, Resized):
            return False
        query.stop()  # it has failed already: its thread ends
        self._failure, self._resized = None, False
        return True

    def _hear(self) -> None:
        """What people say takes effect though no event comes."""
        if time.monotonic() < self._hears_at:
            return
        self._hears_at = time.monotonic() + HEAR_SECONDS
        try:
            report = self._writer.hear()
        except Exception as error:
            self._failure = error
            return
        if report is not None:
            self._done(report)

    def _stay_warm(self) -> None:
        if time.monotonic() - self._last_batch > IDLE_SECONDS:
            self._writer.batch.warm_up()
            self._last_batch = time.monotonic()

    def _rehearse(self, beginning: Beginning) -> None:
        """Hash the first event that waits in each partition, and keep nothing.

        Now Spark has loaded what reading them needs: a first batch of 1,800 events takes .8 s
        instead of 1.3, while others come.
        """
        first = (
            self._writer.spark.read.format("kafka")
            .options(**self._source(beginning.offsets))
            .option("endingOffsets", beginning.first_ends)
            .option("failOnDataLoss", "false")
            .load()
        )
        try:
            self._writer.batch.rehearse(first)
        except Exception as error:
            log.warning("a rehearsal failed; the first batch will say more: %s", error)

    def _source(self, beginning: str) -> dict[str, str]:
        """Options of Spark's Kafka source: the topic, from these offsets on."""
        return {
            **spark_options(self._settings.kafka),
            "subscribe": self._settings.kafka.topic,
            "startingOffsets": beginning,
            # What a producer took back was never sent.
            "kafka.isolation.level": "read_committed",
            # A consumer's fetch from the batch before may still wait at the topic's end, for half a
            # second by default, and the next batch waits for it: .35 s a batch became .16.
            "kafka.fetch.max.wait.ms": "20",
            # A megabyte, by default, is twenty pictures: a round trip and a stop for each.
            "kafka.max.partition.fetch.bytes": str(8 * 2**20),
        }

    def _start(self, once: bool, beginning: str) -> StreamingQuery:
        settings = self._settings
        records = (
            self._writer.spark.readStream.format("kafka")
            .options(**self._source(beginning))
            .option("maxOffsetsPerTrigger", self._limit)
            .option("failOnDataLoss", "true")
            .load()
        )
        batches = records.writeStream.foreachBatch(self._run_batch).option(
            "checkpointLocation", settings.checkpoint.as_uri()
        )
        if once:
            return batches.trigger(availableNow=True).start()
        return batches.trigger(processingTime=f"{settings.stream.trigger_seconds} seconds").start()

    def _run_batch(self, records: DataFrame, _epoch: int) -> None:
        try:
            with self._writer.between_batches:
                if self._stop.is_set():
                    raise Stopping
                if self._resized:
                    raise Resized
                crash_point("batch.asked")
                self._run_whole(records)
                crash_point("batch.done")
        except Exception as error:
            self._failure = error  # Spark would hand it back as a JVM's stack trace
            if not isinstance(error, NotNow | NeardupError):
                log.exception("a batch failed")
            raise

    def _run_whole(self, records: DataFrame) -> None:
        """One batch; as its halves one after the other if its results are too large to hold."""
        begin = time.monotonic()
        try:
            report = self._writer.batch.run(records)
        except Exception as error:
            parts = halves(records) if is_too_large(error) else []
            if not parts:
                raise
            log.warning("a batch is too large to hold (%s): it is done in halves", LIMIT)
            for part in parts:
                if self._stop.is_set():
                    raise Stopping from None
                self._run_whole(part)
            return
        self._last_batch = time.monotonic()
        self._pace(Seen(report.events, self._last_batch - begin))
        self._done(report)

    def _pace(self, batch: Seen) -> None:
        """Choose the size of the batches after the one that Spark asks for next."""
        self._seen = [*self._seen[-9:], batch]
        limit = next_limit(self._limit, self._seen, self._bounds)
        if limit != self._limit:
            self._limit, self._seen, self._resized = limit, [], True

    def _done(self, report: BatchReport) -> None:
        log.info(report.line())
        self._on_batch(report)

    def _end(self, query: StreamingQuery) -> None:
        self._stop.set()  # whatever batch is asked for from now on refuses
        with self._writer.between_batches:
            pass  # stopping a query in the middle of a batch overflows the JVM's stack
        query.stop()
        failure = self._failure or query.exception()
        if failure is None or isinstance(failure, NotNow):
            return
        if not isinstance(failure, NeardupError):
            state = self._writer.batch.state
            self._topic.explain(state)
            written = (state.lake.path, self._settings.checkpoint, Path(tempfile.gettempdir()))
            said = storage(failure, *written)
            raise StreamError(
                said
                or f"Batch {state.batch_seq} failed: {type(failure).__name__}: {failure}\n"
                "Nothing is lost; it is done again at the next start."
            ) from failure
        raise failure
