"""Hashing on the executors, also of a batch that holds an event which kills its worker.

The workers decode without walls between events: that is fast, and one event in a million is worth
another way. If a worker dies (a fault in a native decoder, too much memory, the timer of an event
that takes for ever), the batch is hashed once more with each event in a process of its own
(``isolated``); the guilty one gets a reason, all others their signatures, the same as ever.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pyarrow as pa
from pyspark.errors import PythonException
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from neardup.streaming.hashing import HASHED, HashingPlan, hash_batches, metered
from neardup.streaming.isolated import rows_alone

log = logging.getLogger(__name__)

WORKER_DIED = ("Python worker exited unexpectedly", "Python worker failed", "EOFException")


def hash_on_executors(plan: HashingPlan, records: DataFrame) -> pa.Table:
    """Kafka's key, value, partition, offset, timestamp -> HASHED, in no particular order."""
    try:
        return _job(records, partial(hash_batches, plan))
    except Exception as failure:
        if not is_of_an_event(failure):
            raise
        log.warning(
            "a worker ended while it hashed a batch: it is hashed again, each event by itself"
        )
    return _job(records, partial(hash_each, plan))


def is_of_an_event(failure: Exception) -> bool:
    """Whether one event may be to blame: its worker is gone, or Python failed in it."""
    if isinstance(failure, PythonException):
        return "neardup.schemas.errors" not in str(failure)  # those say what else is amiss
    return any(words in str(failure) for words in WORKER_DIED)


def hash_each(plan: HashingPlan, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """As ``hash_batches``, with a wall around each event."""
    for batch in batches:
        records = batch.to_pylist()
        alone = zip(records, rows_alone(replace(plan, meter=None), records), strict=True)
        rows = [metered(plan.meter, record, row) for record, row in alone]
        yield pa.RecordBatch.from_pylist(rows, schema=HASHED)


def _job(records: DataFrame, step: partial[Iterator[pa.RecordBatch]]) -> pa.Table:
    table: pa.Table = records.mapInArrow(step, from_arrow_schema(HASHED)).toArrow()
    return table
