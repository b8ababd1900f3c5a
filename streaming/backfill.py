"""`neardup backfill`: every row of a corpus through the micro-batch, in large batches.

The same code decides, searches, commits and folds as for the stream, so the lake is as if the
corpus had been streamed, and the stream goes on from it. What is done is in the log: a run that was
killed goes on after the last row that `pins` has.
"""

import logging
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema
from tqdm import tqdm

from neardup.models.bundle import verify_artifacts
from neardup.models.hasher import Hasher
from neardup.schemas.errors import NeardupError, StreamError
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings
from neardup.streaming.columns import Columns
from neardup.streaming.corpus import open_source
from neardup.streaming.microbatch import BatchReport
from neardup.streaming.sources import (
    RECORDS,
    Reader,
    Source,
    pieces,
    rows_decided,
    shares,
)
from neardup.streaming.unfinished import Unfinished
from neardup.streaming.writer import Writer, writer

log = logging.getLogger(__name__)


@dataclass
class Totals:
    """What a run did. ``rows`` of the corpus; ``before``: those that earlier runs decided."""

    rows: int
    before: int
    added: int = 0
    links: int = 0
    quarantined: int = 0

    def count(self, report: BatchReport) -> None:
        self.added += report.added
        self.links += report.links
        self.quarantined += report.quarantined


class Backfill:
    """The backfill of one corpus into one lake. ``run`` once; ``stop`` from any thread."""

    def __init__(
        self,
        settings: Settings,
        path: Path,
        columns: Columns = Columns(),  # noqa: B008  (frozen)
        batch_rows: int | None = None,
    ) -> None:
        self._settings = settings
        self._path = path.resolve()
        self._columns = columns
        self._batch_rows = batch_rows
        self._unfinished = Unfinished(settings.lake.path, self._path)
        self._stop = threading.Event()
        self._signals: tuple[signal.Signals, ...] = ()

    def stop(self) -> None:
        """Finish the running batch, then end ``run``."""
        self._stop.set()

    def stop_on(self, *signals: signal.Signals) -> None:
        """Stop at the first of these signals; a second one does not hurry it."""
        self._signals = signals

    def look(self, restart: bool = False) -> tuple[Source, int]:
        """The corpus, and how many of its rows are decided already. Nothing is written."""
        source = self._source(restart)
        lake = self._settings.lake.path
        return source, _decided(Lake(lake), source) if lake.exists() else 0

    def run(self, restart: bool = False) -> Totals:
        """Decide all rows that are not decided yet.

        ``restart``: take the corpus as it is now, though it changed since it was cut off. Raises
        SourceError when it cannot be read, StreamError when it changed, the lake is held by another
        writer or the run was stopped, ArtifactError and LakeError when the models do not fit.
        """
        log.info("models: %s", verify_artifacts(self._settings.models))
        source, done = self.look(restart)
        if done == sum(source.sizes) and self._unfinished.read() is None:
            return Totals(done, done)
        settings = _reading(self._settings, self._path)
        with writer(settings, source.topic_id, "neardup-backfill") as lake:
            for number in self._signals:  # only now: PySpark has set its own for SIGINT
                signal.signal(number, lambda *_: self.stop())
            self._unfinished.write(source.topic_id, source.version)
            with lake.upkeep():
                totals = self._decide(lake, source)
        self._unfinished.clear()
        return totals

    def _source(self, restart: bool) -> Source:
        note = None if restart else self._unfinished.read()
        hasher = Hasher.load(self._settings.models.hasher)
        version = note.version if note else None
        source = open_source(self._path, self._columns, hasher, version)
        if not restart:
            self._unfinished.check(source.topic_id)
        return source

    def _decide(self, lake: Writer, source: Source) -> Totals:
        rows = sum(source.sizes)
        done = _decided(lake.batch.state.lake, source)
        size = self._batch_rows or source.batch_rows
        totals = Totals(rows, done)
        with tqdm(desc=self._path.name, total=rows, initial=done, unit=" rows") as bar:
            for begin in range(done, rows, size):
                if self._stop.is_set():
                    raise StreamError(
                        f"Stopped after {begin:,} of {rows:,} rows of {self._path}: the same "
                        "command goes on from there."
                    )
                end = min(begin + size, rows)
                totals.count(_batch(lake, source, begin, end))
                bar.set_postfix(links=totals.links, quarantined=totals.quarantined, refresh=False)
                bar.update(end - begin)
        return totals


def _decided(lake: Lake, source: Source) -> int:
    """How many rows, from the first on, are in the log or in quarantine."""
    topic = {"topic": source.topic_id}
    last = lake.rows(
        """SELECT partition, max("offset") AS last FROM pins
        WHERE topic_id = $topic GROUP BY partition""",
        topic,
    )
    refused = lake.rows('SELECT partition, "offset" FROM quarantine WHERE topic_id = $topic', topic)
    return rows_decided(
        source.sizes,
        {row["partition"]: row["last"] for row in last},
        {(row["partition"], row["offset"]) for row in refused},
    )


def _reading(settings: Settings, folder: Path) -> Settings:
    """Pictures below the corpus may be read, whatever else may; who brings one floods nobody."""
    roots = (*settings.events.allowed_roots, folder)
    events = settings.events.model_copy(update={"allowed_roots": roots, "source_quota": 0})
    return settings.model_copy(update={"events": events})


def _batch(lake: Writer, source: Source, begin: int, end: int) -> BatchReport:
    try:
        report = lake.run(_records(lake.spark, source, begin, end))
    except NeardupError:
        raise
    except Exception as error:
        raise StreamError(
            f"Rows {begin:,} to {end:,} failed: {type(error).__name__}: {error}\n"
            "Nothing is lost; the same command goes on from there."
        ) from error
    log.info(report.line())
    return report


def _records(spark: SparkSession, source: Source, begin: int, end: int) -> DataFrame:
    """Rows ``begin`` to ``end`` in Kafka's columns, read by as many tasks as there are cores."""
    tasks = [
        [source.reader(piece) for piece in pieces(source.sizes, *share)]
        for share in shares(begin, end, spark.sparkContext.defaultParallelism)
    ]
    numbers = spark.range(0, len(tasks), 1, len(tasks))
    return numbers.mapInArrow(partial(read_rows, tasks), from_arrow_schema(RECORDS))


def read_rows(
    tasks: list[list[Reader]], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """For ``mapInArrow`` over task numbers (column ``id``): rows of RECORDS."""
    for batch in batches:
        for task in batch.column("id").to_pylist():
            for reader in tasks[task]:
                yield from reader.records()
