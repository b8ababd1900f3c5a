"""Python workers of Spark: one for every slot, started before the first event needs them.

Spark starts a worker when a task needs one: a second of imports, while events wait. This module
loads what hashing needs and no more, for what it imports every worker does.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from neardup.schemas.settings import ModelSettings
from neardup.streaming.hashing import hasher_of

Batches = Iterator[pa.RecordBatch]

HOLD_SECONDS = 0.05
"""Long enough that a task of a warm worker is still running when the next task is handed out: else
one worker would take them all."""


def start_workers(spark: SparkSession, models: ModelSettings) -> None:
    """Have a process started for every slot, and the hasher loaded in it."""
    in_every_worker(spark, partial(_start, models))


def in_every_worker(spark: SparkSession, task: Callable[[Batches], Batches]) -> None:
    """Run a ``mapInArrow`` that passes its rows on, and holds on for HOLD_SECONDS, in each."""
    slots = spark.sparkContext.defaultParallelism
    spark.range(0, slots, 1, slots).mapInArrow(task, "id long").toArrow()


def _start(models: ModelSettings, batches: Batches) -> Batches:
    hasher = hasher_of(models.hasher)
    hasher.sign(np.zeros((1, hasher.dim), np.float32))
    time.sleep(HOLD_SECONDS)
    yield from batches
