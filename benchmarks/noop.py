"""What a micro-batch of Spark takes that does nothing: the measure of what is done inside one."""

import tempfile
import time
from pathlib import Path

from neardup.infra.spark import spark_session
from neardup.schemas.settings import SparkSettings

TRIGGERS, WARM = 30, 10


def noop_seconds(rows: int) -> list[float]:
    """Seconds of triggers whose ``foreachBatch`` does nothing, in the session of the stream.

    Their source makes ``rows`` rows a batch by itself; so there is no Kafka in it either.
    """
    settings = SparkSettings(options={"spark.sql.streaming.numRecentProgressUpdates": "1000"})
    spark = spark_session(settings, "neardup-noop", short_jobs=True)
    try:
        with tempfile.TemporaryDirectory(prefix="neardup-noop-") as directory:
            source = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", rows).load()
            query = (
                source.writeStream.option("checkpointLocation", str(Path(directory)))
                .foreachBatch(lambda frame, epoch: None)
                .start()
            )
            while len(query.recentProgress) < WARM + TRIGGERS and query.isActive:
                time.sleep(0.05)
            progress = query.recentProgress[WARM:]
            query.stop()
    finally:
        spark.stop()
    return [batch.durationMs["triggerExecution"] / 1e3 for batch in progress]
