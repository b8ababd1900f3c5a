"""`python -m neardup.benchmarks.stream_peers append|empty CONFIG`: what the platform alone takes.

The Kafka source of the stream, with the same options and the same session, into a plain Delta table
by Spark's own writer (`append`), or into a ``foreachBatch`` that does nothing (`empty`). At its end
it writes the median seconds of its triggers to its log.
"""

import logging
import signal
import statistics
import sys
import threading
from pathlib import Path

from pyspark.sql.streaming import StreamingQuery

from neardup.infra.kafka_security import spark_options
from neardup.infra.spark import spark_session
from neardup.schemas.settings import load_settings

log = logging.getLogger("neardup.peer")


def main(kind: str, config: Path) -> None:
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    settings = load_settings(config)
    done = threading.Event()
    options = {"spark.sql.streaming.numRecentProgressUpdates": "2000"}
    spark_settings = settings.spark.model_copy(update={"options": options})
    spark = spark_session(spark_settings, "peer", short_jobs=True)
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    records = (
        spark.readStream.format("kafka")
        .options(**spark_options(settings.kafka))
        .option("subscribe", settings.kafka.topic)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", settings.stream.max_events_per_batch)
        .option("kafka.fetch.max.wait.ms", "20")
        .load()
    )
    table = settings.lake.path.parent / kind
    batches = records.writeStream.option("checkpointLocation", str(table) + "-checkpoint")
    if kind == "append":
        schema = records.schema
        spark.createDataFrame([], schema).write.format("delta").save(str(table))
        query = batches.format("delta").start(str(table))
    else:
        query = batches.foreachBatch(lambda records, epoch: None).start()
    log.info("peer ready: %s", kind)
    while not done.wait(0.1) and query.isActive:
        pass
    log.info("triggers %.4f", _median_trigger(query))
    query.stop()
    spark.stop()


def _median_trigger(query: StreamingQuery) -> float:
    durations = [progress.durationMs for progress in query.recentProgress]
    seconds: list[float] = [d["triggerExecution"] / 1e3 for d in durations if "addBatch" in d]
    return statistics.median(seconds)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
