"""Processes started, models loaded, and kernels compiled, before the first event needs them.

Workers are started with the session. What else they need takes seconds (TensorFlow), and Spark ends
workers that were idle for a minute, so the stream asks for that at its start, if nothing waits, and
again whenever nothing came for a while.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from pyspark.sql import SparkSession

from neardup.index.ids import id_hashes
from neardup.index.search import search
from neardup.index.segment import build_segment, decode_segment
from neardup.index.store import SIGNATURE_BYTES
from neardup.index.terms import TermPlan
from neardup.schemas.settings import ModelSettings
from neardup.streaming.candidates import model_of
from neardup.streaming.garbage import keep_what_is_loaded
from neardup.streaming.hashing import embedder_of, hasher_of

Batches = Iterator[pa.RecordBatch]

# Long enough that a task of a warm worker is still running when the next task is handed out:
# else one worker would take them all.
HOLD_SECONDS = 0.05


def start_workers(spark: SparkSession, models: ModelSettings) -> None:
    """Have a process started for every slot, and the hasher loaded in it."""
    in_every_worker(spark, partial(_start, models))


def in_every_worker(spark: SparkSession, task: Callable[[Batches], Batches]) -> None:
    """Run a ``mapInArrow`` that passes its rows on in every worker, if none is slow to begin."""
    slots = spark.sparkContext.defaultParallelism
    spark.range(0, slots, 1, slots).mapInArrow(task, "id long").toArrow()


def _start(models: ModelSettings, batches: Batches) -> Batches:
    hasher = hasher_of(models.hasher)
    hasher.sign(np.zeros((1, hasher.dim), np.float32))
    time.sleep(HOLD_SECONDS)
    yield from batches


def warm_worker(models: ModelSettings, classifiers: Any, batches: Batches) -> Batches:
    """For ``mapInArrow``: pass the rows on, and hash, search and score once on the way."""
    picture = Image.new("RGB", (64, 64))
    signature = hasher_of(models.hasher).sign(embedder_of(models).embed([picture]))
    rehearse_search()
    for arrays in classifiers.value:
        model_of(arrays).scorer.log_odds(signature, np.invert(signature))
    keep_what_is_loaded()
    time.sleep(HOLD_SECONDS)
    yield from batches


def rehearse_search() -> None:
    """Search a segment of one pin: now the kernels are compiled."""
    signature, first = np.zeros((1, SIGNATURE_BYTES), np.uint8), np.zeros(1, np.int64)
    built = build_segment((0, 1), first, signature, id_hashes(["a pin"]), first, TermPlan())
    search(decode_segment(built.segment_id, built.blocks), signature, radius=0)
