"""Memberships are made again from the log: the rows that are missing, or all of them.

`clusters` is a function of `pins`: the fold of the same rows gives the same rows. What a compaction
wrote is not, because it began with the clusters that there were; where that is lost, the log is
folded into a generation of its own, whose clusters keep the ids that can still be read.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds

from neardup.clusters.anew import publish_fold
from neardup.clusters.evidence import Evidence
from neardup.clusters.fold import NOBODY
from neardup.clusters.generations import generation_row
from neardup.clusters.ledger import (
    FOLDED,
    LOG_ORDER,
    Folded,
    Ledger,
    fold_rows,
    load_store,
    restore,
)
from neardup.index.store import PinStore
from neardup.schemas.lake import Lake

Int64 = npt.NDArray[np.int64]

ROWS_AT_ONCE = 100_000


@dataclass(frozen=True)
class Evidences:
    """What decided about pairs, batch by batch: (first batch, evidence), ascending, not empty."""

    since: tuple[tuple[int, Evidence], ...]

    def at(self, batch_seq: int) -> Evidence:
        """What decides in a batch."""
        known = [evidence for first, evidence in self.since if first <= batch_seq]
        return known[-1] if known else self.since[0][1]


def refold(lake: Lake, evidences: Evidences) -> int:
    """Commit what `clusters` lacks of the current generation; how many batches were folded."""
    generation = lake.current_generation()
    told = _told(lake, generation)
    silent = silent_through(lake, generation)
    kept: list[Folded] = []
    batches = 0
    with _ledger(lake, generation, evidences) as ledger:
        for folded in _folds(lake, ledger, evidences):
            batches += 1
            if ledger.through <= silent or ledger.through in told:
                folded = folded._replace(history=folded.history.slice(0, 0))
            kept.append(folded)
            if sum(len(one.clusters) for one in kept) >= ROWS_AT_ONCE:
                _commit(lake, kept)
        _commit(lake, kept)
    return batches


def fold_anew(lake: Lake, evidences: Evidences) -> int:
    """Publish a generation folded from the whole log in the place of a damaged one; its number.

    A cluster keeps the id that most of its pins still have in the damaged one, whose rows go.
    """
    damaged = lake.current_generation()
    generation: int = 1 + max(lake.read("generations", ["generation"])["generation"].to_pylist())
    lake.remove_generation(generation)  # of a repair that was killed
    with _ledger(lake, generation, evidences) as ledger:
        for _ in _folds(lake, ledger, evidences):
            pass
        before = _last_known(lake, damaged, len(ledger.store))
        publish_fold(lake, ledger, before, generation)
    generation_row(lake, damaged, "removed", through_batch_seq=-1)
    lake.remove_generation(damaged)
    return generation


@contextmanager
def _ledger(lake: Lake, generation: int, evidences: Evidences) -> Iterator[Ledger]:
    with tempfile.TemporaryDirectory(prefix="neardup-") as directory:
        store = load_store(lake, PinStore(Path(directory)))
        ledger = restore(lake, generation, evidences.at(0), store)
        yield ledger


def _folds(lake: Lake, ledger: Ledger, evidences: Evidences) -> Iterator[Folded]:
    """What each batch after ``ledger.through`` changes."""
    rows = lake.read("pins", FOLDED, ds.field("batch_seq") > ledger.through).sort_by(LOG_ORDER)
    numbers = rows["batch_seq"].to_numpy()
    for batch_seq in np.unique(numbers).tolist():
        begin, end = np.searchsorted(numbers, [batch_seq, batch_seq + 1])
        ledger.fold.evidence = evidences.at(batch_seq)
        yield fold_rows(ledger, rows.slice(begin, end - begin))


def _commit(lake: Lake, kept: list[Folded]) -> None:
    for name in ("history", "clusters"):
        rows = pa.concat_tables([getattr(one, name) for one in kept]) if kept else []
        if len(rows):
            lake.append("cluster_history" if name == "history" else name, rows)
    kept.clear()


def _told(lake: Lake, generation: int) -> set[int]:
    """The batches of a generation whose history is written."""
    own = ds.field("generation") == generation
    return set(lake.read("cluster_history", ["batch_seq"], own)["batch_seq"].to_pylist())


def silent_through(lake: Lake, generation: int) -> int:
    """The last batch that readers saw in other generations: theirs is the history until then."""
    rows = lake.rows(
        """SELECT max(batch_seq) AS last FROM (
            SELECT generation, batch_seq FROM clusters
            UNION ALL SELECT generation, batch_seq FROM cluster_history
        ) WHERE generation <> $generation
            AND generation IN (SELECT generation FROM generations WHERE status = 'published')""",
        {"generation": generation},
    )
    return -1 if rows[0]["last"] is None else int(rows[0]["last"])


def _last_known(lake: Lake, generation: int, pins: int) -> Int64:
    """The cluster of each pin version in what can be read of a generation, int64 [pins]."""
    rows = lake.rows(
        """SELECT ordinal, max_by(cluster_id, batch_seq) AS cluster_id FROM clusters
        WHERE generation = $generation GROUP BY ordinal
        HAVING max_by(cluster_id, batch_seq) IS NOT NULL""",
        {"generation": generation},
    )
    last = np.full(pins, NOBODY)
    for row in rows:
        if row["ordinal"] < pins:
            last[row["ordinal"]] = row["cluster_id"]
    return last
