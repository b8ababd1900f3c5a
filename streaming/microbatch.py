"""One micro-batch, from Kafka records to committed rows.

The order of the commits is what makes a crash harmless: `quarantine` first (keyed by source
position, so a replay adds nothing), then `pins` (the commit point), then `clusters` (a pure
function of `pins`, finished at the next start if it is missing).
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.errors import PythonException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from neardup.clusters import fold
from neardup.clusters.evidence import evidence_of
from neardup.clusters.ledger import FOLDED, commit, fold_rows
from neardup.clusters.people import events, waiting
from neardup.index.exemplars import NOBODY
from neardup.index.lake_segments import write_segment
from neardup.index.policy import flush_ranges, share_out
from neardup.index.search import Candidates
from neardup.index.store import SIGNATURE_BYTES, stacked
from neardup.models.classifier import Classifier
from neardup.models.hasher import Hasher
from neardup.schemas.crash import crash_point
from neardup.schemas.errors import SegmentError
from neardup.schemas.settings import Settings
from neardup.schemas.tables import PINS
from neardup.streaming.candidates import LINKS, Broadcast, SearchPlan, search_tasks
from neardup.streaming.counts import Counts
from neardup.streaming.decide import Decided, decide
from neardup.streaming.hashing import HashingPlan
from neardup.streaming.here import is_small, search_here
from neardup.streaming.looks import judged_by_looks
from neardup.streaming.models import Models
from neardup.streaming.nearest import Rule
from neardup.streaming.poison import hash_on_executors
from neardup.streaming.quota import read_meter
from neardup.streaming.resolve import Scored, Settled, rehearse, scored, settle
from neardup.streaming.shadow import disagreements
from neardup.streaming.state import State
from neardup.streaming.warm import rehearse_search, warm_worker
from neardup.streaming.workers import in_every_worker

Signatures = npt.NDArray[np.uint8]

SEARCHES_PER_TASK = 4_000
"""Searches of one query in one segment that take as long as a further task costs, .1 s."""


@dataclass
class BatchReport:
    """What a batch did: counts, and seconds by stage.

    ``cache``: how often a decoded segment was a hit or a miss, and evictions.
    """

    batch_seq: int
    overrides: int = 0
    events: int = 0
    quarantined: int = 0
    added: int = 0
    candidates: int = 0
    links: int = 0
    cache: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begin

    def line(self) -> str:
        stages = " ".join(f"{name} {seconds:.3f}" for name, seconds in self.seconds.items())
        people = f"{self.overrides} overrides, " if self.overrides else ""
        return (
            f"batch {self.batch_seq}: {people}{self.events} events, "
            f"{self.quarantined} quarantined, {self.added} added, {self.candidates} pairs "
            f"scored, {self.links} links; s: {stages}"
        )


class MicroBatch:
    """Runs batches against a state, which it alone changes.

    ``before_commit`` is called when all is read and nothing is written; what it raises is no batch.
    """

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
        source = settings.models.classifier
        self.models = Models(
            spark.sparkContext.broadcast,
            state.lake,
            hasher.version,
            classifier,
            source,
            state.batch_seq,
        )
        self._rule = Rule(state.plan, classifier.radius, settings.stream.max_links)
        quota = settings.events
        self._meter = read_meter(
            state.lake, state.topic_id, quota.source_quota, quota.source_quota_window
        )
        self._cache = spark.sparkContext.accumulator(Counter(), Counts())
        self._scored: list[pa.Table] = []
        self._parallel = spark.sparkContext.defaultParallelism
        self._cold = False  # rehearsed, but no worker has loaded what searching needs
        self._overrides = -1  # the version of the table when it was read last
        self.state = state
        self.before_commit: Callable[[], None] = lambda: None

    def warm_up(self) -> None:
        """Have every process load models and kernels, so that no event waits for it."""
        self._load_kernels()
        load = partial(warm_worker, self._settings.models, self.models.shared)
        in_every_worker(self._spark, load)

    def rehearse(self, records: DataFrame) -> None:
        """Hash some records and keep nothing: now Spark has loaded what reading them needs.

        This process waits for that, and loads its kernels meanwhile.
        """
        self._cold = True
        with ThreadPoolExecutor(1) as beside:
            loaded = beside.submit(self._load_kernels)
            self._hash(records)
            loaded.result()

    def _load_kernels(self) -> None:
        rehearse(self._rule)
        rehearse_search()
        fold.rehearse(evidence_of(self.models.classifier, self._settings))

    def run(self, records: DataFrame) -> BatchReport:
        """Decide every record and commit the decisions; the same records again add nothing.

        What people said since the batch before comes first.
        """
        self._follow_models()
        report = BatchReport(self.state.batch_seq)
        with report.stage("hash"):
            good, bad = self._hash(records)
        report.events, report.quarantined = len(good) + len(bad), len(bad)
        with report.stage("decide"):
            decided = decide(self.state, good)
        report.added = len(decided.adds)
        self._cache.value = Counter()
        with report.stage("search"):
            settled = self._search(decided)
        self._cold = False
        report.cache = self._cache.value + self.state.cache.taken_counts()
        report.candidates, report.links = settled.scored, len(settled.links.score)
        self._attach(decided, settled)
        self._stamp(decided)
        said = self._said()
        report.overrides = len(said)
        with report.stage("commit"):
            self.before_commit()
            self._commit_quarantine(bad)
            self._commit_disagreements(decided)
            pins = self._commit_pins([*said, *decided.rows], decided.queries)
            self._meter.count(decided.rows)
        with report.stage("fold"):
            self._fold(pins)
        with report.stage("flush"):
            self.flush()
        return report

    def hear(self) -> BatchReport | None:
        """A batch of what people said and nothing else; None if they said nothing."""
        said = self._said()
        if not said:
            return None
        report = BatchReport(self.state.batch_seq, len(said))
        with report.stage("commit"):
            pins = self._commit_pins(said, stacked([]))
        with report.stage("fold"):
            self._fold(pins)
        return report

    def _follow_models(self) -> None:
        state = self.state
        if self.models.follow(state.batch_seq):
            classifier = self.models.classifier
            self._rule = Rule(state.plan, classifier.radius, self._settings.stream.max_links)
            state.fold.evidence = evidence_of(classifier, self._settings)

    def _said(self) -> list[dict[str, Any]]:
        """What people said that is not in the log, as rows for it; the fold is told of them."""
        state = self.state
        version = state.lake.table("overrides").version()
        if version == self._overrides:
            return []
        self._overrides = version
        rows = waiting(state.lake, state.ledger.word.heard)
        state.ledger.word.learn(rows, state.find)
        return events(rows, state.batch_seq)

    def _hash(self, records: DataFrame) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        plan = HashingPlan(
            self._settings.events,
            self._settings.models,
            self._settings.stream.thumbnail_px,
            self._settings.stream.query_views,
            self._meter,
        )
        # No more tasks than cores: each wave of Python tasks costs a tenth of a second.
        kafka = records.select("key", "value", "partition", "offset", "timestamp").coalesce(
            self._parallel
        )
        hashed = hash_on_executors(plan, kafka)
        rows = hashed.sort_by([("partition", "ascending"), ("offset", "ascending")]).to_pylist()
        positions = self.state.positions
        fresh = [row for row in rows if row["offset"] > positions.get(row["partition"], -1)]
        good = [row for row in fresh if row["kind"] != "bad"]
        return good, [row for row in fresh if row["kind"] == "bad"]

    def _search(self, decided: Decided) -> Settled:
        state = self.state
        self._scored = []
        return settle(
            decided,
            state.memtable(),
            state.exemplars,
            state.signature_of,
            self._rule,
            partial(self._score, decided),
        )

    def _score(self, decided: Decided, pairs: Candidates, in_segments: bool) -> Scored:
        """Score pairs and, if asked to, search the segments: here, or in one job of Spark.

        Here too for the first batch of a start that found events waiting: this process has its
        kernels by then, and a worker would take a second to load them while more events come.
        """
        try:
            return self._job(decided, self._plan(decided, pairs, in_segments))
        except (PythonException, SegmentError) as failure:
            damaged = isinstance(failure, SegmentError) or SegmentError.__name__ in str(failure)
            if not damaged or not self.state.mend():
                raise
            return self._job(decided, self._plan(decided, pairs, in_segments))

    def _job(self, decided: Decided, plan: SearchPlan) -> Scored:
        if not plan.tasks:
            return scored(LINKS.empty_table())
        here = self._cold or is_small(plan)
        found = self._here(plan) if here else self._on_executors(plan)
        used = self.models.classifier, self.models.shadow
        found = judged_by_looks(found, decided, self.state.store, *used)
        self._scored.append(found)
        return scored(found)

    def _here(self, plan: SearchPlan) -> pa.Table:
        segments = [self.state.segment(name) for group in plan.groups for name in group]
        used = (self.models.classifier, self.models.shadow)
        return search_here(plan, segments, [one for one in used if one])

    def _on_executors(self, plan: SearchPlan) -> pa.Table:
        plans = self._spark.sparkContext.broadcast(plan)
        shared = Broadcast(plans, self.models.shared, self._cache)
        tasks = self._spark.range(0, plan.tasks, 1, plan.tasks)
        try:
            found = tasks.mapInArrow(partial(search_tasks, shared), from_arrow_schema(LINKS))
            table: pa.Table = found.toArrow()
            return table
        finally:
            shared.plan.destroy()

    def _plan(self, decided: Decided, pairs: Candidates, in_segments: bool) -> SearchPlan:
        state, stream = self.state, self._settings.stream
        queries = decided.searched.signatures
        segments = state.segment_ids if in_segments and len(queries) else []
        parts = min(self._parallel, 1 + len(segments) * len(queries) // SEARCHES_PER_TASK)
        sizes = [1 + state.segment(segment_id).n for segment_id in segments]
        groups, shares = share_out(sizes, parts)
        return SearchPlan(
            queries=queries,
            ended=decided.searched.ended(decided.ended),
            groups=[[segments[i] for i in group] for group in groups],
            shares=shares,
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

    def _commit_disagreements(self, decided: Decided) -> None:
        """Where a shadow would link otherwise; a replay may write them once more."""
        classifier, shadow, state = self.models.classifier, self.models.shadow, self.state
        if shadow is None or not self._scored:
            return
        newer = state.next_ordinal + decided.searched.query.astype(np.int64)
        rows = disagreements(self._scored, newer, classifier, shadow, state.batch_seq)
        if len(rows):
            state.lake.append("disagreements", rows)

    def _stamp(self, decided: Decided) -> None:
        for row in decided.rows:
            row["batch_seq"], row["topic_id"] = self.state.batch_seq, self.state.topic_id
        for row in decided.adds:
            row["hasher"], row["model"] = self._hasher.version, self.models.classifier.version

    def _commit_pins(self, rows: list[dict[str, Any]], signatures: Signatures) -> pa.Table:
        """The commit point. After it the state holds the batch; its rows, in log order."""
        pins = pa.Table.from_pylist(rows, schema=PINS.schema)
        if rows:
            self.state.lake.append("pins", pins)
            self.state.apply(rows, signatures)
        return pins

    def _fold(self, pins: pa.Table) -> None:
        commit(self.state.lake, fold_rows(self.state.ledger, pins.select(FOLDED)))

    def flush(self) -> None:
        """Write a segment for each whole range of ``flush_pins`` ordinals that has none."""
        state = self.state
        size = state.next_ordinal - state.flushed
        for span in flush_ranges(state.flushed, size, self._settings.stream.flush_pins):
            built = state.build(span)
            crash_point("flush.built")
            write_segment(state.lake, built)
            crash_point("flush.written")
            state.adopt([built.segment_id])
