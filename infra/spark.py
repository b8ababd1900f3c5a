"""The Spark session, with the settings that a one-second micro-batch depends on."""

import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from neardup.infra.jars import spark_jars
from neardup.infra.java import find_java
from neardup.infra.shared_classes import flags
from neardup.schemas.settings import SparkSettings

_OPTIONS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # With the default of 50 an append to a small table takes seconds.
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.session.timeZone": "UTC",
    # Pictures make wide rows: few to a batch keep the JVM's and the workers' buffers small.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "256",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(2 * 1024 * 1024),
    "spark.sql.streaming.metricsEnabled": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
_SHORT_JOBS = {
    # Jobs of a tenth of a second, again and again: what planning and compiling cost more than they
    # gain. Measured on 2 cores, a mapInArrow over two rows takes .12 s with these, .25 without.
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    # A batch that hands back more is done in halves; more than driver_memory would end the JVM.
    "spark.driver.maxResultSize": "256m",
    # How often an idle stream asks Kafka for news.
    "spark.sql.streaming.pollingDelay": "50ms",
}
_SHORT_JOBS_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
_LOG4J = Path(__file__).resolve().parent / "log4j2.properties"
_LOCAL = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}


def spark_session(settings: SparkSettings, name: str, short_jobs: bool = False) -> SparkSession:
    """The session of this process. ``spark.options`` of the settings win over ours.

    ``short_jobs``: tuned for many small jobs, as the stream's, instead of few large ones.
    """
    java = find_java()  # a sentence now instead of Spark's stack trace later
    # Without this, workers run whatever `python3` is on the PATH.
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    jvm = f"-Dlog4j2.configurationFile={_LOG4J.as_uri()} {flags(java)}"
    options = {
        **_OPTIONS,
        **(_SHORT_JOBS if short_jobs else {}),
        **(_LOCAL if settings.master.startswith("local") else {}),
        "spark.driver.memory": settings.driver_memory,
        "spark.driver.extraJavaOptions": f"{jvm} {_SHORT_JOBS_JVM}" if short_jobs else jvm,
        "spark.jars": ",".join(str(jar) for jar in spark_jars()),
        **settings.options,
    }
    builder = SparkSession.builder.appName(name).master(settings.master)
    for key, value in options.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()
