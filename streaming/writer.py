"""The one writer of a lake: it holds the lease, the Spark session and the state of the log.

The stream and the backfill differ in where their records come from, and in nothing else.
"""

import logging
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from neardup.clusters.evidence import evidence_of
from neardup.clusters.generations import generation_row, prepared_generation, publish
from neardup.clusters.ledger import catch_up, require_hasher, restore
from neardup.index.cache import SegmentCache
from neardup.index.calibrate import calibrate
from neardup.index.explain import verdict
from neardup.index.lake_plan import plan_for
from neardup.infra.spark import spark_session
from neardup.models.classifier import Classifier
from neardup.models.hasher import Hasher
from neardup.models.registry import classifier_of
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings
from neardup.streaming.maintenance import Maintenance
from neardup.streaming.merging import Merging
from neardup.streaming.microbatch import BatchReport, MicroBatch
from neardup.streaming.state import rebuild
from neardup.streaming.workers import start_workers

log = logging.getLogger(__name__)

REVIEWED_PINS = (2**14, 2**17)
"""Sizes at which the planner measures this machine beside a running stream: 90 MB at most."""


@dataclass
class Writer:
    """Runs micro-batches; ``between_batches`` keeps what runs beside them out."""

    spark: SparkSession
    batch: MicroBatch
    settings: Settings
    between_batches: threading.Lock = field(default_factory=threading.Lock)

    @property
    def classifier(self) -> Classifier:
        """The one that decides now."""
        return self.batch.models.classifier

    def run(self, records: DataFrame) -> BatchReport:
        """One micro-batch of Kafka's columns, committed."""
        with self.between_batches:
            return self.batch.run(records)

    def hear(self) -> BatchReport | None:
        """What people said since, committed as a batch of its own; None if they said nothing."""
        with self.between_batches:
            return self.batch.hear()

    @contextmanager
    def upkeep(self) -> Iterator[None]:
        """While the block runs: cheap commits, merged segments, what compaction prepared."""
        path, stream = self.settings.lake.path, self.settings.stream
        state, lock = self.batch.state, self.between_batches
        with (
            Maintenance(path, stream.maintenance_seconds, self._publish_prepared),
            Merging(state, lock, stream.flush_pins, self._review_plan),
        ):
            yield

    def _review_plan(self) -> str:
        """What the planner thinks of the lake's plan now; a few seconds of one core."""
        planned = plan_for(
            Lake(self.settings.lake.path),
            radius=self.classifier.radius,
            costs=calibrate(pins=REVIEWED_PINS),
            max_scored=self.settings.stream.max_links,
        )
        return verdict(planned)

    def _publish_prepared(self, lake: Lake) -> None:
        """Called by the maintenance thread: bring a generation up beside the stream, and publish it
        between two batches."""
        prepared = prepared_generation(lake)
        if prepared is None:
            return
        state, generation = self.batch.state, prepared["generation"]
        evidence = evidence_of(self.classifier, self.settings)
        ledger = restore(lake, generation, evidence, state.store)
        catch_up(lake, ledger, state.batch_seq - 1)  # of later ones the pins may not be here yet
        with self.between_batches:
            ledger.fold.evidence = state.fold.evidence  # the classifier may have been swapped
            publish(state.lake, prepared, ledger, state.ledger)
            state.ledger = ledger
        log.info("published generation %d", generation)


@contextmanager
def writer(settings: Settings, topic_id: str, name: str) -> Iterator[Writer]:
    """The writer of the lake of ``settings`` while the block runs, at the end of its log.

    ``topic_id``: where its records come from; ``name``: of the Spark session. Raises StreamError
    when the lake is held by another writer or was written from another topic, ArtifactError and
    LakeError when the models do not fit the lake.
    """
    hasher = Hasher.load(settings.models.hasher)
    lake = Lake.create(settings.lake.path)
    classifier = classifier_of(lake, settings)
    classifier.check_hasher(hasher.version)
    require_hasher(lake, hasher.version)
    with lake.lease("stream"), tempfile.TemporaryDirectory(prefix="neardup-") as directory:
        lake.fence()
        if not len(lake.read("generations", ["generation"])):
            generation_row(lake, 0, "published", through_batch_seq=-1)
        cache = SegmentCache(lake.cache_directory(), settings.stream.cache_bytes)
        evidence = evidence_of(classifier, settings)
        with ThreadPoolExecutor(1) as beside:  # Spark starts while the tables are read
            state = beside.submit(rebuild, lake, topic_id, evidence, cache, Path(directory))
            spark = spark_session(settings.spark, name, short_jobs=True)
            start_workers(spark, settings.models)
        try:
            batch = MicroBatch(spark, settings, hasher, classifier, state.result())
            batch.flush()  # one that a crash cut off: the batches after it must find its segment
            batch.hear()
            yield Writer(spark, batch, settings)
        finally:
            spark.stop()
