"""Counts that tasks send home: Spark adds them up in the driver."""

from collections import Counter

from pyspark.accumulators import AccumulatorParam


class Counts(AccumulatorParam[Counter[str]]):  # type: ignore[misc]
    """For ``SparkContext.accumulator(Counter(), Counts())``."""

    def zero(self, value: Counter[str]) -> Counter[str]:
        return Counter()

    def addInPlace(self, value1: Counter[str], value2: Counter[str]) -> Counter[str]:
        return value1 + value2
