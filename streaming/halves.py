"""A batch whose results are too large to hold: its earlier and its later half."""

from functools import reduce
from operator import or_

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

LIMIT = "spark.driver.maxResultSize"


def is_too_large(failure: Exception) -> bool:
    """Whether Spark gave up a batch because its results would not fit."""
    return LIMIT in str(failure)


def halves(records: DataFrame) -> list[DataFrame]:
    """The first half of each partition's offsets, then the other; [] if there is one of each."""
    spans = records.groupBy("partition").agg(F.min("offset"), F.max("offset")).collect()
    if all(first == last for _, first, last in spans):
        return []
    earlier = reduce(
        or_,
        [
            (F.col("partition") == partition) & (F.col("offset") <= (first + last) // 2)
            for partition, first, last in spans
        ],
    )
    return [records.where(earlier), records.where(~earlier)]
