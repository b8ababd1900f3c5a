"""From the log to memberships and back: how pins rows drive the fold, and what it writes.

The stream, a restart, and the publishing of a generation all call ``fold_rows`` on the same rows
in the same order, so they cannot disagree.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from neardup.clusters.evidence import Evidence
from neardup.clusters.fold import NOBODY, Fold, Link, Membership
from neardup.clusters.overrides import Said, said_by
from neardup.index.store import PinStore, stacked
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake
from neardup.schemas.tables import CLUSTERS
from neardup.schemas.views import memberships

LOG_ORDER = [("batch_seq", "ascending"), ("partition", "ascending"), ("offset", "ascending")]
"""The order of decisions: batches one after the other, within a batch by source position."""

FOLDED = ["pin_id", "kind", "ordinal", "previous", "links", "batch_seq", "partition", "offset"]


def fold_rows(fold: Fold, pins: list[dict[str, Any]], store: PinStore) -> pa.Table:
    """Fold the rows of one micro-batch, in log order, and return the rows for ``clusters``.

    A pin id that moved several times in the batch gets one row, its last standing.
    """
    if not pins:
        return CLUSTERS.schema.empty_table()
    for row in pins:
        if row["kind"] == "repeat":
            continue
        if row["previous"] is not None:
            fold.leave(row["previous"])
        if row["kind"] == "add":
            links = [Link(link["ordinal"], link["score"]) for link in row["links"] or ()]
            fold.add(row["ordinal"], links)
    return _cluster_rows(fold, pins[0]["batch_seq"], store)


def _cluster_rows(fold: Fold, batch_seq: int, store: PinStore) -> pa.Table:
    # By ordinal, so that of two versions of a pin the newer one's standing is kept.
    rows = {
        store.pin_id(change.ordinal): _cluster_row(change, fold.generation, batch_seq, store)
        for change in fold.take_changes()
    }
    return pa.Table.from_pylist(list(rows.values()), schema=CLUSTERS.schema)


def _cluster_row(
    change: Membership, generation: int, batch_seq: int, store: PinStore
) -> dict[str, Any]:
    gone = change.cluster_id == NOBODY
    return {
        "pin_id": store.pin_id(change.ordinal),
        "ordinal": change.ordinal,
        "cluster_id": None if gone else change.cluster_id,
        "head": None if gone else store.pin_id(change.head),
        "head_ordinal": None if gone else change.head,
        "generation": generation,
        "batch_seq": batch_seq,
    }


def said(lake: Lake, through: int) -> Said:
    """What people said, of what had come into the log by the end of batch ``through``."""
    rows = lake.rows(
        """SELECT * FROM overrides WHERE sequence IN
            (SELECT "offset" FROM pins WHERE kind = 'override' AND batch_seq <= $through)""",
        {"through": through},
    )
    return said_by(rows)


def require_hasher(lake: Lake, version: str) -> None:
    """Raise LakeError unless all signatures of the lake were made by this hasher."""
    rows = lake.rows("SELECT DISTINCT hasher FROM pins WHERE hasher IS NOT NULL")
    others = sorted({row["hasher"] for row in rows} - {version})
    if others:
        raise LakeError(
            f"The signatures in {lake.path} were made by the hasher {others[0]}, the settings name "
            f"{version}: their bits cannot be compared. Set models.hasher to the former, or give "
            "the new one a lake of its own."
        )


def load_store(lake: Lake, store: PinStore) -> PinStore:
    """Fill an empty store with every pin version of the log."""
    added = lake.read("pins", ["ordinal", "pin_id", "signature"], ds.field("kind") == "add")
    added = added.sort_by("ordinal").combine_chunks()
    ordinals = added.column("ordinal").to_numpy()
    if not np.array_equal(ordinals, np.arange(len(ordinals))):
        raise LakeError(
            f"The ordinals in {lake.path / 'pins'} are not 0 to {len(ordinals) - 1}, each once: "
            "the log was changed from outside. Restore the table from a backup."
        )
    store.extend(added["pin_id"].to_pylist(), stacked(added["signature"].to_pylist()))
    return store


def restore(lake: Lake, generation: int, evidence: Evidence, store: PinStore) -> tuple[Fold, int]:
    """The fold as ``clusters`` has it for a generation, and the last batch it covers (-1: none)."""
    through = covered_batch(lake, generation)
    members = lake.sql(memberships(str(generation), through))
    known = lake.read("pins", ["ordinal"], ds.field("batch_seq") <= through).column("ordinal")
    newest = pc.max(known).as_py()
    ordinals, ids, heads = (
        members.column(name).to_numpy() for name in ("ordinal", "cluster_id", "head_ordinal")
    )
    pins = 0 if newest is None else newest + 1
    fold = Fold.restore(evidence, store.signatures, generation, (ordinals, ids, heads), pins)
    return fold, through


def covered_batch(lake: Lake, generation: int) -> int:
    """The last batch whose memberships are all in ``clusters`` for a generation; -1 if none."""
    covered = lake.rows(
        """SELECT greatest(
            (SELECT coalesce(max(batch_seq), -1) FROM clusters WHERE generation = $generation),
            (SELECT max(through_batch_seq) FROM generations WHERE generation = $generation)
        ) AS through""",
        {"generation": generation},
    )
    return int(covered[0]["through"])


def catch_up(lake: Lake, fold: Fold, through: int, store: PinStore) -> int:
    """Fold the batches after ``through``, appending their rows to ``clusters``; the last batch."""
    tail = lake.read("pins", FOLDED, ds.field("batch_seq") > through).sort_by(LOG_ORDER)
    numbers = tail.column("batch_seq").to_numpy()
    for batch_seq in np.unique(numbers).tolist():
        begin, end = np.searchsorted(numbers, [batch_seq, batch_seq + 1])
        rows = fold_rows(fold, tail.slice(begin, end - begin).to_pylist(), store)
        if len(rows):
            lake.append("clusters", rows)
        through = batch_seq
    return through
