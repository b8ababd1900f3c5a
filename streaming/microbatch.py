"""One micro-batch, from Kafka records to committed rows.

The order of the commits is what makes a crash harmless: `quarantine` first (keyed by source
position, so a replay adds nothing), then `pins` (the commit point), then `clusters` (a pure
function of `pins`, finished at the next start if it is missing).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.errors import PythonException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from neardup.clusters import fold
from neardup.clusters.evidence import Evidence
from neardup.clusters.ledger import fold_rows
from neardup.index.exemplars import NOBODY
from neardup.index.policy import flush_ranges, partition_segments
from neardup.index.search import Candidates
from neardup.index.store import SIGNATURE_BYTES
from neardup.models.classifier import Classifier
from neardup.models.hasher import Hasher
from neardup.schemas.errors import SegmentError
from neardup.schemas.settings import Settings
from neardup.streaming.candidates import LINKS, Broadcast, SearchPlan, search_tasks
from neardup.streaming.decide import Decided, decide
from neardup.streaming.hashing import HASHED, HashingPlan, hash_batches
from neardup.streaming.nearest import Rule
from neardup.streaming.resolve import Scored, Settled, rehearse, scored, settle
from neardup.streaming.segments import write_segment
from neardup.streaming.state import State
from neardup.streaming.warm import warm_worker

Signatures = npt.NDArray[np.uint8]

SEARCHES_PER_TASK = 4_000
"""Searches of one query in one segment that take as long as a further task costs, .1 s."""


@dataclass
class BatchReport:
    """What a batch did: counts, and seconds by stage."""

    batch_seq: int
    events: int = 0
    quarantined: int = 0
    added: int = 0
    candidates: int = 0
    links: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begin

    def line(self) -> str:
        stages = " ".join(f"{name} {seconds:.3f}" for name, seconds in self.seconds.items())
        return (
            f"batch {self.batch_seq}: {self.events} events, {self.quarantined} quarantined, "
            f"{self.added} added, {self.candidates} pairs scored, {self.links} links; s: {stages}"
        )


class MicroBatch:
    """Runs batches against a state, which it alone changes."""

    def __init__(
        self,
        spark: SparkSession,
        settings: Settings,
        hasher: Hasher,
        classifier: Classifier,
        state: State,
    ) -> None:
        self._spark = spark
        self._settings = settings
        self._hasher = hasher
        self._classifier = classifier
        self._model = spark.sparkContext.broadcast(classifier.to_arrays())
        self._rule = Rule(state.plan, classifier.radius, settings.stream.max_links)
        self._parallel = spark.sparkContext.defaultParallelism
        self.state = state

    def warm_up(self) -> None:
        """Have every process load models and kernels, so that no event waits for it."""
        rehearse(self._rule)
        fold.rehearse(Evidence(self._classifier.hamming_log_odds, self._classifier.trusted))
        slots = self._parallel
        tasks = self._spark.range(0, slots, 1, slots)
        load = partial(warm_worker, self._settings.models, self._model)
        tasks.mapInArrow(load, "id long").toArrow()

    def run(self, records: DataFrame) -> BatchReport:
        """Decide every record and commit the decisions; the same records again add nothing."""
        report = BatchReport(self.state.batch_seq)
        with report.stage("hash"):
            good, bad = self._hash(records)
        report.events, report.quarantined = len(good) + len(bad), len(bad)
        with report.stage("decide"):
            decided = decide(self.state, good)
        report.added = len(decided.adds)
        with report.stage("search"):
            settled = self._search(decided)
        report.candidates, report.links = settled.scored, len(settled.links.score)
        self._attach(decided, settled)
        with report.stage("commit"):
            self._commit_quarantine(bad)
            self._commit_pins(decided)
        with report.stage("fold"):
            self._fold(decided)
        with report.stage("flush"):
            self.flush()
        return report

    def _hash(self, records: DataFrame) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        plan = HashingPlan(
            self._settings.events,
            self._settings.models,
            self._settings.stream.thumbnail_px,
            self._settings.stream.query_views,
        )
        # No more tasks than cores: each wave of Python tasks costs a tenth of a second.
        kafka = records.select("key", "value", "partition", "offset", "timestamp").coalesce(
            self._parallel
        )
        hashed = kafka.mapInArrow(partial(hash_batches, plan), from_arrow_schema(HASHED)).toArrow()
        rows = hashed.sort_by([("partition", "ascending"), ("offset", "ascending")]).to_pylist()
        positions = self.state.positions
        fresh = [row for row in rows if row["offset"] > positions.get(row["partition"], -1)]
        good = [row for row in fresh if row["kind"] != "bad"]
        return good, [row for row in fresh if row["kind"] == "bad"]

    def _search(self, decided: Decided) -> Settled:
        state = self.state
        return settle(
            decided,
            state.memtable(),
            state.exemplars,
            state.signature_of,
            self._rule,
            partial(self._score, decided),
        )

    def _score(self, decided: Decided, pairs: Candidates, in_segments: bool) -> Scored:
        """Score pairs and, if asked to, search the segments, in one job on the executors."""
        try:
            return self._job(self._plan(decided, pairs, in_segments))
        except PythonException as failure:
            if SegmentError.__name__ not in str(failure) or not self.state.mend():
                raise
            return self._job(self._plan(decided, pairs, in_segments))

    def _job(self, plan: SearchPlan) -> Scored:
        if not plan.tasks:
            return scored(LINKS.empty_table())
        shared = Broadcast(self._spark.sparkContext.broadcast(plan), self._model)
        tasks = self._spark.range(0, plan.tasks, 1, plan.tasks)
        try:
            found = tasks.mapInArrow(partial(search_tasks, shared), from_arrow_schema(LINKS))
            return scored(found.toArrow())
        finally:
            shared.plan.destroy()

    def _plan(self, decided: Decided, pairs: Candidates, in_segments: bool) -> SearchPlan:
        state, stream = self.state, self._settings.stream
        queries = decided.searched.signatures
        segments = state.segment_ids if in_segments and len(queries) else []
        parts = min(self._parallel, 1 + len(segments) * len(queries) // SEARCHES_PER_TASK)
        sizes = [1 + state.segment(segment_id).n for segment_id in segments]
        return SearchPlan(
            queries=queries,
            ended=decided.searched.ended(decided.ended),
            groups=[[segments[i] for i in group] for group in partition_segments(sizes, parts)],
            pairs=pairs,
            others=self._older(decided, pairs),
            lake=state.lake.path,
            cache_dir=state.lake.cache_directory(),
            cache_bytes=stream.cache_bytes,
            max_links=stream.max_links,
        )

    def _older(self, decided: Decided, pairs: Candidates) -> Signatures:
        """The signatures of the older pins of pairs; some of them may be of this batch."""
        first = self.state.next_ordinal
        others = np.empty((len(pairs.ordinal), SIGNATURE_BYTES), np.uint8)
        new = pairs.ordinal >= first
        others[new] = decided.queries[pairs.ordinal[new] - first]
        others[~new] = self.state.store.signatures(pairs.ordinal[~new])
        return others

    def _attach(self, decided: Decided, settled: Settled) -> None:
        """Give each added row its exemplar and its links, nearest first."""
        for row, exemplar in zip(decided.adds, settled.exemplars.tolist(), strict=True):
            row["links"] = []
            row["exemplar"] = None if exemplar == NOBODY else exemplar
        columns = (*settled.links.candidates, settled.links.score)
        for query, *link in zip(*(column.tolist() for column in columns), strict=True):
            names = ("ordinal", "overlap", "hamming", "score")
            decided.adds[query]["links"].append(dict(zip(names, link, strict=True)))

    def _commit_quarantine(self, bad: list[dict[str, Any]]) -> None:
        new = [
            row for row in bad if (row["partition"], row["offset"]) not in self.state.quarantined
        ]
        if new:
            rows = [{**row, "topic_id": self.state.topic_id} for row in new]
            self.state.lake.append_rows("quarantine", rows)

    def _commit_pins(self, decided: Decided) -> None:
        """The commit point. After it the state holds the batch."""
        state = self.state
        if not decided.rows:
            return
        for row in decided.rows:
            row["batch_seq"], row["topic_id"] = state.batch_seq, state.topic_id
        for row in decided.adds:
            row["hasher"], row["model"] = self._hasher.version, self._classifier.version
        state.lake.append_rows("pins", decided.rows)
        state.apply(decided.rows, decided.queries)

    def _fold(self, decided: Decided) -> None:
        rows = fold_rows(self.state.fold, decided.rows, self.state.store)
        if len(rows):
            self.state.lake.append("clusters", rows)

    def flush(self) -> None:
        """Write a segment for each whole range of ``flush_pins`` ordinals that has none."""
        state = self.state
        size = state.next_ordinal - state.flushed
        for span in flush_ranges(state.flushed, size, self._settings.stream.flush_pins):
            built = state.build(span)
            write_segment(state.lake, built)
            state.adopt([built.segment_id])
