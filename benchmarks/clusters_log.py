"""Pictures in some order through everything but Spark and Kafka: their log, and a lake's life.

Candidates and exemplars are found as a stream finds them (``streaming.resolve``), and scored by the
classifier. What is found does not depend on flushes, so nothing is flushed.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neardup.benchmarks.classifier_data import Codes
from neardup.clusters.compaction import prepare
from neardup.clusters.generations import generation_row, prepared_generation, publish_alone
from neardup.clusters.ledger import FOLDED, Ledger, commit, fold_rows, restore
from neardup.clusters.recompute import Recipe
from neardup.clusters.snapshot import snapshot
from neardup.clusters.work import Here
from neardup.index.exemplars import NOBODY, Exemplars
from neardup.index.search import Candidates
from neardup.index.store import PinStore, looks_of, stacked
from neardup.index.terms import TermPlan
from neardup.schemas.lake import Lake
from neardup.schemas.tables import PINS
from neardup.streaming.candidates import Ended, Memtable
from neardup.streaming.decide import Decided
from neardup.streaming.nearest import Rule
from neardup.streaming.resolve import Scored, Settled, rehearse, settle
from neardup.streaming.views import query_rows

Int64 = npt.NDArray[np.int64]

PER_BATCH = 1_000


class Life:
    """A lake and the stream's fold of it, as a stream without Spark leaves them."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        folder.mkdir()
        self._recipe = recipe
        self._lake = Lake.create(folder / "lake")
        generation_row(self._lake, 0, "published", through_batch_seq=-1)
        self._ledger = Ledger.empty(recipe.evidence, PinStore(folder))

    def live(self, log: list[pa.Table], nights: Collection[int] = ()) -> None:
        """Fold the batches; before those of ``nights`` the clusters are compacted."""
        for number, pins in enumerate(log):
            if number in nights:
                self.compact()
            self._lake.append("pins", pins)
            signatures = stacked(pins["signature"].to_pylist())
            looks = looks_of(pins["looks"].combine_chunks())
            self._ledger.store.extend(pins["pin_id"].to_pylist(), signatures, looks)
            commit(self._lake, fold_rows(self._ledger, pins.select(FOLDED)))

    def compact(self) -> None:
        """As the night does it; the fold goes on from what was published."""
        lake, evidence = self._lake, self._recipe.evidence
        outcome, prepared = prepare(lake, self._recipe, Here(lake)), prepared_generation(lake)
        assert outcome is not None and prepared is not None
        publish_alone(lake, prepared, evidence, outcome.history)
        self._ledger = restore(lake, lake.current_generation(), evidence, self._ledger.store)

    def clusters(self) -> Int64:
        """By ordinal the cluster that readers see, int64 [n]."""
        rows = self._lake.sql("SELECT cluster_id FROM clusters_current ORDER BY ordinal")
        found: Int64 = rows["cluster_id"].to_numpy()
        return found

    def components(self) -> Int64:
        """By ordinal the component as the newest compaction found it, int64 [n]."""
        now = snapshot(self._lake, self._lake.current_generation())
        return now.components[now.live]


def some(pictures: Codes, rows: slice | npt.NDArray[np.integer]) -> Codes:
    """The codes of these rows."""
    return Codes(*(codes[rows] for codes in pictures))


def logged(recipe: Recipe, pictures: Codes) -> Iterator[pa.Table]:
    """The log of pins with these codes, rows of ``pins`` batch by batch; no looks are zeros."""
    rule = Rule(TermPlan(), recipe.radius, recipe.max_links)
    rehearse(rule)
    exemplars = Exemplars()
    for seq, begin in enumerate(range(0, len(pictures.signatures), PER_BATCH)):
        queries = some(pictures, slice(begin, begin + PER_BATCH))
        settled = found(recipe, rule, exemplars, pictures, queries)
        for i, exemplar in enumerate(settled.exemplars.tolist()):
            exemplars.add(begin + i, exemplar)
        yield batch_of(queries, settled, begin, seq)


def found(
    recipe: Recipe, rule: Rule, exemplars: Exemplars, pictures: Codes, queries: Codes
) -> Settled:
    """Links and exemplars of a batch, beside the pins before it, all in the memtable."""
    nobody = np.empty(0, np.int64)
    ended = Ended(nobody, nobody, nobody.astype(np.int32))
    signatures, own = pictures.signatures, queries.signatures
    decided = Decided([], [], own, query_rows(own, [None] * len(own)), ended)
    indexed = exemplars.indexed(0, len(exemplars))

    def job(pairs: Candidates, _: bool) -> Scored:
        one, other = some(queries, pairs.query), some(pictures, pairs.ordinal)
        scores = recipe.score(one.signatures, other.signatures, one.looks, other.looks)
        return Scored(pairs, scores, scores >= recipe.threshold)

    memtable = Memtable(indexed, signatures[indexed])
    return settle(decided, memtable, exemplars, lambda pin: signatures[pin : pin + 1], rule, job)


def batch_of(queries: Codes, settled: Settled, begin: int, seq: int) -> pa.Table:
    """Rows of ``pins`` in which each query is a new pin, named by its ordinal."""
    n = len(queries.signatures)
    ordinals = np.arange(begin, begin + n)
    query, ordinal, overlap, hamming = settled.links.candidates
    offsets = np.searchsorted(query, np.arange(n + 1)).astype(np.int32)
    link = PINS.schema.field("links").type.value_type
    parts = [pa.array(part) for part in (ordinal, overlap, hamming, settled.links.score)]
    links = pa.StructArray.from_arrays(parts, fields=list(link))
    known = {
        "pin_id": ordinals.astype(str),
        "kind": ["add"] * n,
        "ordinal": ordinals,
        "signature": [row.tobytes() for row in queries.signatures],
        "looks": [row.tobytes() if row.any() else None for row in queries.looks],
        "links": pa.ListArray.from_arrays(pa.array(offsets), links),
        "exemplar": pa.array(settled.exemplars, mask=settled.exemplars == NOBODY),
        "batch_seq": np.full(n, seq),
        "topic_id": ["pictures"] * n,
        "partition": np.zeros(n, np.int32),
        "offset": ordinals,
        "event_time": pa.array(ordinals, pa.timestamp("us", "UTC")),
    }
    columns = {name: known.get(name, pa.nulls(n)) for name in PINS.schema.names}
    return pa.table(columns).cast(PINS.schema)
