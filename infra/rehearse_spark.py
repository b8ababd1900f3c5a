"""A session that does what the stream's does, for the classes that its JVM loads (shared_classes).

``python -m neardup.infra.rehearse_spark ARCHIVE`` writes them to that file.
"""

import sys
from pathlib import Path

from pyspark import SparkContext

from neardup.infra.spark import spark_session
from neardup.schemas.settings import SparkSettings

JVM_SECONDS = 300.0


def rehearse(archive: Path) -> None:
    """A job whose rows go through Python, and a query of one batch. Raises OSError if the JVM wrote
    nothing."""
    option = {"spark.driver.extraJavaOptions": f'"-XX:ArchiveClassesAtExit={archive}"'}
    spark = spark_session(SparkSettings(options=option), "neardup-classes", short_jobs=True)
    spark.range(0, 2, 1, 2).mapInArrow(lambda batches: batches, "id long").toArrow()
    rows = spark.readStream.format("rate").load()
    batches = rows.writeStream.foreachBatch(lambda batch, _: batch.toArrow())
    batches.trigger(availableNow=True).start().awaitTermination()
    gateway = SparkContext._gateway
    spark.stop()
    assert gateway is not None
    gateway.shutdown()
    gateway.proc.stdin.close()  # the JVM ends with it
    gateway.proc.wait(JVM_SECONDS)
    archive.stat()


if __name__ == "__main__":
    rehearse(Path(sys.argv[1]))
