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
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from neardup.clusters.ledger import fold_rows
from neardup.index.hamming import Pairs, pairs_within, pairs_within_batch
from neardup.index.ids import id_hashes
from neardup.index.policy import flush_ranges, partition_segments
from neardup.index.search import Candidates, overlap
from neardup.index.segment import build_segment, k_for
from neardup.index.terms import Bands
from neardup.models.classifier import Classifier
from neardup.models.hasher import Hasher
from neardup.schemas.settings import Settings
from neardup.streaming.candidates import (
    LINKS,
    Broadcast,
    SearchPlan,
    gather,
    joined,
    nearest,
    search_tasks,
    take,
)
from neardup.streaming.decide import Decided, decide
from neardup.streaming.hashing import HASHED, HashingPlan, hash_batches
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
        self._bands = Bands()
        self._parallel = spark.sparkContext.defaultParallelism
        self.state = state

    def warm_up(self) -> None:
        """Have every worker process load the models, so that no event waits for it."""
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
            links = self._search(decided)
        report.candidates = len(links)
        report.links = self._attach(decided, links)
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
            self._settings.events, self._settings.models, self._settings.stream.thumbnail_px
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

    def _search(self, decided: Decided) -> pa.Table:
        plan = self._plan(decided)
        if not plan.tasks:
            return LINKS.empty_table()
        shared = Broadcast(self._spark.sparkContext.broadcast(plan), self._model)
        tasks = self._spark.range(0, plan.tasks, 1, plan.tasks)
        try:
            found = tasks.mapInArrow(partial(search_tasks, shared), from_arrow_schema(LINKS))
            return found.toArrow()
        finally:
            shared.plan.destroy()

    def _plan(self, decided: Decided) -> SearchPlan:
        state, stream = self.state, self._settings.stream
        pairs = self._memtable_pairs(decided)
        everything = np.concatenate([self._memtable(), decided.queries])
        searched = len(decided.queries) > 0
        segments = len(state.segment_ids) if searched else 0
        parts = min(self._parallel, 1 + segments * len(decided.queries) // SEARCHES_PER_TASK)
        groups = partition_segments([stream.flush_pins] * segments, parts)
        return SearchPlan(
            queries=decided.queries,
            ended=decided.ended,
            groups=[[state.segment_ids[i] for i in group] for group in groups],
            pairs=pairs,
            others=everything[pairs.ordinal - state.memtable_first],
            lake=state.lake.path,
            cache_dir=state.lake.cache_directory(),
            cache_bytes=stream.cache_bytes,
            max_links=stream.max_links,
        )

    def _memtable(self) -> Signatures:
        return self.state.store.signatures(slice(self.state.memtable_first, None))

    def _memtable_pairs(self, decided: Decided) -> Candidates:
        """Pairs with pins that are in no segment yet, this batch's among them, by brute force.

        Only pairs that share a term count, as in a segment: so what is found does not depend on
        when the memtable was flushed.
        """
        queries, memtable, radius = decided.queries, self._memtable(), self._classifier.radius
        first, limit = self.state.memtable_first, self._settings.stream.max_links
        k = k_for(self._settings.stream.flush_pins)

        def sharing(newer: Signatures, older: Signatures, pairs: Pairs, offset: int) -> Candidates:
            shared = overlap(newer[pairs.query], older[pairs.corpus], self._bands, k)
            ordinals = pairs.corpus.astype(np.int64) + offset
            found = Candidates(pairs.query, ordinals, shared, pairs.distance)
            return take(found, shared > 0)

        earlier = gather(
            queries,
            decided.ended,
            limit,
            lambda some: sharing(some, memtable, pairs_within(some, memtable, radius), first),
        )
        pairs = pairs_within_batch(queries, radius)
        within = sharing(queries, queries, pairs, first + len(memtable))
        within = take(within, decided.ended.mask(within))
        return nearest(joined([earlier, within]), limit)

    def _attach(self, decided: Decided, links: pa.Table) -> int:
        """Give each added row its links, nearest first; their number."""
        accepted = links.filter(pc.field("accepted"))
        columns = (accepted.column(name).to_numpy() for name in Candidates._fields)
        found = Candidates(*columns)
        scores = dict(
            zip(
                zip(found.query.tolist(), found.ordinal.tolist(), strict=True),
                accepted.column("score").to_pylist(),
                strict=True,
            )
        )
        kept = nearest(found, self._settings.stream.max_links)
        for row in decided.adds:
            row["links"] = []
        for query, ordinal, shared, hamming in zip(*(c.tolist() for c in kept), strict=True):
            decided.adds[query]["links"].append(
                {
                    "ordinal": ordinal,
                    "overlap": shared,
                    "hamming": hamming,
                    "score": scores[query, ordinal],
                }
            )
        return len(kept.query)

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
        for row in decided.rows:
            state.positions[row["partition"]] = row["offset"]
        state.store.extend([row["pin_id"] for row in decided.adds], decided.queries)
        state.memtable.update({row["pin_id"]: row["ordinal"] for row in decided.adds})
        state.batch_seq += 1

    def _fold(self, decided: Decided) -> None:
        rows = fold_rows(self.state.fold, decided.rows, self.state.store)
        if len(rows):
            self.state.lake.append("clusters", rows)

    def flush(self) -> None:
        """Write segments until the memtable holds fewer than ``flush_pins`` pins."""
        state = self.state
        size = state.next_ordinal - state.memtable_first
        for first, end in flush_ranges(
            state.memtable_first, size, self._settings.stream.flush_pins
        ):
            pin_ids = [state.store.pin_id(ordinal) for ordinal in range(first, end)]
            signatures = state.store.signatures(slice(first, end))
            built = build_segment(first, signatures, id_hashes(pin_ids), self._bands)
            state.lake.append_rows(
                "segments",
                [
                    {
                        "segment_id": built.segment_id,
                        "block": name,
                        "first_ordinal": first,
                        "end_ordinal": end,
                        "payload": payload,
                    }
                    for name, payload in built.blocks.items()
                ],
            )
            state.segment_ids.append(built.segment_id)
            state.forget_flushed(end)
