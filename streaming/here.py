"""The search of a batch by the driver itself, where a job of Spark would take longer.

The same kernels over the same memory-mapped segments, and a classifier that gives the same bits in
numpy as in TensorFlow (``models.classifier``): no row tells where it was found.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from neardup.index.segment import Segment
from neardup.models.classifier import Classifier
from neardup.models.scorer import NumpyScorer
from neardup.streaming.candidates import SearchPlan, in_segment, links_of

MOST_PAIRS = 4_000
"""Pairs of the memtable that numpy scores in about .1 s, which a job of Spark takes."""


def is_small(plan: SearchPlan) -> bool:
    """Whether a batch is searched here: one task would do, and few pairs are scored already."""
    return plan.tasks <= 1 and len(plan.pairs.query) <= MOST_PAIRS


def search_here(
    plan: SearchPlan, segments: Sequence[Segment], classifiers: Sequence[Classifier]
) -> pa.Table:
    """Rows of LINKS: what ``search_tasks`` gives for all tasks of the plan together.

    ``segments``: those of its groups. The first classifier decides, a second one is its shadow.
    """
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # the kernels let go of Python's lock
        radius = classifiers[0].radius
        parts = list(threads.map(lambda segment: in_segment(plan, segment, radius), segments))
    scorers = [NumpyScorer(classifier) for classifier in classifiers]
    return pa.Table.from_batches([links_of(scorers, plan, parts, last=True)])
