"""A compaction's work, shared out: by Spark if there is much of it, else done in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from neardup.batch.executors import (
    EDGES,
    MEMBERS,
    PARTS,
    bucket_parts,
    buckets,
    forest_batches,
    in_buckets,
)
from neardup.clusters.components import forest
from neardup.clusters.evidence import Evidence
from neardup.clusters.recompute import Recipe
from neardup.clusters.work import COLUMNS, Done, Here, Live, Todo, Work
from neardup.infra.spark import spark_session
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings

Int64 = npt.NDArray[np.int64]

RECORDS_PER_BATCH = "20000"
"""Rows that go to Python at once: some 5 MB of signatures and links."""


class OnSpark:
    """Executors read the log, and answer with forests of links and with parts."""

    def __init__(self, spark: SparkSession, lake: Lake) -> None:
        self._spark = spark
        self._pins = str(lake.path / "pins")
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", RECORDS_PER_BATCH)

    def forest(self, evidence: Evidence, live: Live) -> tuple[Int64, Int64]:
        shared = self._spark.sparkContext.broadcast((evidence, live))
        each = partial(forest_batches, shared)
        found = self._added(["ordinal", "links"]).mapInArrow(each, from_arrow_schema(EDGES))
        edges = found.toArrow()
        shared.destroy()
        return forest(*(edges.column(name).to_numpy() for name in EDGES.names))

    def parts(self, recipe: Recipe, todo: Todo) -> Done:
        context = self._spark.sparkContext
        numbers = buckets(todo.components)
        where = context.broadcast((todo.ordinals, numbers))
        shared = context.broadcast((recipe, todo))

        def parts(pins: pa.Table) -> pa.Table:  # Spark reads the annotations; a partial has none
            return bucket_parts(shared, pins)

        tasks = max(context.defaultParallelism, min(int(numbers.max()) + 1, 1_000))
        members = self._added(COLUMNS).mapInArrow(
            partial(in_buckets, where), from_arrow_schema(MEMBERS)
        )
        by_bucket = members.repartition(tasks, "bucket").groupBy("bucket")
        found = by_bucket.applyInArrow(parts, from_arrow_schema(PARTS)).toArrow()
        where.destroy()
        shared.destroy()
        return Done(*(found.column(name).to_numpy() for name in PARTS.names))

    def _added(self, columns: list[str]) -> DataFrame:
        pins = self._spark.read.format("delta").load(self._pins)
        return pins.where("kind = 'add'").select(*columns)


class BySize:
    """Spark from ``compact.spark_pins`` pins on: what it takes is memory that one process lacks. A
    million pins were recomputed here in a third of the time that a warm Spark took on two cores.

    ``spark``: a session that is there already, else one is started when it is needed.
    """

    def __init__(self, lake: Lake, settings: Settings, spark: SparkSession | None = None) -> None:
        self._lake, self._settings = lake, settings
        self._spark = spark
        self._here = Here(lake)
        self.started: SparkSession | None = None

    def forest(self, evidence: Evidence, live: Live) -> tuple[Int64, Int64]:
        return self._by(len(live.ordinals)).forest(evidence, live)

    def parts(self, recipe: Recipe, todo: Todo) -> Done:
        return self._by(len(todo.ordinals)).parts(recipe, todo)

    def _by(self, pins: int) -> Work:
        if pins < self._settings.compact.spark_pins:
            return self._here
        if self._spark is None:
            self._spark = self.started = spark_session(self._settings.spark, "neardup-compact")
        return OnSpark(self._spark, self._lake)


@contextmanager
def work_on(lake: Lake, settings: Settings, spark: SparkSession | None) -> Iterator[Work]:
    """The work for a compaction of this lake; a session that it started ends with the block."""
    work = BySize(lake, settings, spark)
    try:
        yield work
    finally:
        if work.started is not None:
            work.started.stop()
