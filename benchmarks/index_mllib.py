"""Spark MLlib's BucketedRandomProjectionLSH, joining a corpus with itself.

Its hash is the place of an embedding along one random direction, in steps of a bucket length, so
unrelated pictures share many buckets; pairs go through a shuffle with both vectors before any
distance is taken. The join is stopped when it takes too long or fills the disk.
"""

import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from neardup.benchmarks.crowd import Floats
from neardup.infra.spark import spark_session
from neardup.schemas.settings import SparkSettings

Pairs = npt.NDArray[np.int64]

MOST_BYTES = 30 * 2**30
TABLES = (1, 2, 3, 5)
_SHARES = 400


class Join(NamedTuple):
    """A setting: steps of ``bucket`` along each of ``tables`` directions; pairs up to ``distance``.

    ``recall``: the share of true pairs it should find. ``compared``: the share of unrelated pairs
    that share a bucket.
    """

    bucket: float
    tables: int
    distance: float
    recall: float
    compared: float


class Outcome(NamedTuple):
    """``pairs`` int64 [m, 2], or None if it was stopped; ``why`` says by what.

    ``start``: seconds until the session stood. ``seconds``: those of the join after it.
    """

    start: float
    seconds: float
    pairs: Pairs | None
    why: str


def tuned(true: Floats, unrelated: Floats, dim: int, asked: float) -> Join:
    """The setting with the ``asked`` recall that compares least.

    ``true`` and ``unrelated`` float32: Euclidean distances of pairs of ``dim`` numbers. Along a
    random unit vector points at distance d are |N(0, 1)| d / sqrt(dim) apart, about; they share a
    bucket of length b with probability E[max(0, 1 - that / b)] (Datar, Immorlica, Indyk, Mirrokni
    2004).
    """
    fitting = []
    for tables in TABLES:
        for bucket in np.geomspace(1e-3 * true.max(), true.max(), 100):
            recall, compared = (
                float((1 - (1 - _same_bucket(apart / dim**0.5 / bucket)) ** tables).mean())
                for apart in (true, unrelated)
            )
            if recall >= asked:
                reach = float(np.quantile(true, 0.99))
                fitting.append(Join(float(bucket), tables, reach, recall, compared))
                break
    return min(fitting, key=lambda join: join.compared)


def _same_bucket(ratios: Floats) -> npt.NDArray[np.float64]:
    normal = np.linspace(-6, 6, _SHARES)
    weights = np.exp(-(normal**2) / 2)
    shared = np.maximum(0, 1 - np.abs(normal) * ratios[:, None])
    return np.asarray(shared @ (weights / weights.sum()))


def join_itself(vectors: Floats, join: Join, limit: float, memory: str) -> Outcome:
    """All pairs i > j of ``vectors`` float32 [n, dim] that MLlib finds in ``limit`` seconds.

    ``memory``: of the JVM, if none runs yet.
    """
    with tempfile.TemporaryDirectory(prefix="neardup-mllib-") as directory:
        path = Path(directory) / "vectors.parquet"
        flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
        rows = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        ids = pa.array(np.arange(len(vectors)))
        table = pa.table({"id": ids, "vector": rows.cast(pa.list_(pa.float32()))})
        pq.write_table(table, path, row_group_size=10_000)
        options = {"spark.local.dir": directory, "spark.sql.shuffle.partitions": "64"}
        begin = time.perf_counter()
        spark = spark_session(SparkSettings(driver_memory=memory, options=options), "neardup-mllib")
        start = time.perf_counter() - begin
        try:
            return _watched(spark, path, join, limit)._replace(start=start)
        finally:
            spark.stop()


def _watched(spark: Any, path: Path, join: Join, limit: float) -> Outcome:
    """Run the join in a thread of its own; stop it at a limit."""
    done: list[Pairs] = []
    failed: list[str] = []

    def work() -> None:
        try:
            done.append(_joined(spark, path, join))
        except Exception as error:  # whatever ends it is the answer
            failed.append(str(error).splitlines()[0][:120])

    thread = threading.Thread(target=work, daemon=True)
    begin = time.perf_counter()
    thread.start()
    why = ""
    while thread.is_alive():
        thread.join(1.0)
        taken, used = time.perf_counter() - begin, _bytes_below(path.parent)
        if taken > limit or used > MOST_BYTES:
            why = f"stopped after {taken:.0f} s with {used / 2**30:.0f} GiB on disk"
            spark.sparkContext.cancelAllJobs()
            thread.join(60)
            break
    seconds = time.perf_counter() - begin
    if why or failed:
        return Outcome(0.0, seconds, None, why or f"failed after {seconds:.0f} s: {failed[0]}")
    return Outcome(0.0, seconds, done[0], "")


def _joined(spark: Any, path: Path, join: Join) -> Pairs:
    from pyspark.ml.feature import BucketedRandomProjectionLSH
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as F

    frame = spark.read.parquet(str(path)).select("id", array_to_vector("vector").alias("vector"))
    model = BucketedRandomProjectionLSH(
        inputCol="vector",
        outputCol="hashes",
        bucketLength=join.bucket,
        numHashTables=join.tables,
        seed=1,
    ).fit(frame)
    near = model.approxSimilarityJoin(frame, frame, join.distance, distCol="apart")
    newer, older = F.col("datasetA.id").alias("newer"), F.col("datasetB.id").alias("older")
    found = near.select(newer, older).where("newer > older").toArrow()
    return np.stack([found["newer"].to_numpy(), found["older"].to_numpy()], axis=1)


def _bytes_below(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # Spark removed it meanwhile
            continue
    return total
