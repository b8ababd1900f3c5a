"""From the log to memberships and back: how pins rows drive the fold, and what it writes.

The stream, a restart, and the publishing of a generation all call ``fold_rows`` on the same rows
in the same order, so they cannot disagree.
"""

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from neardup.clusters.attach import Batch
from neardup.clusters.evidence import Evidence, Ordinals
from neardup.clusters.fold import NOBODY, Changes, Fold
from neardup.clusters.identity import History
from neardup.clusters.lineage import became
from neardup.clusters.overrides import Said, named_by, said_by
from neardup.clusters.people import heard, waiting
from neardup.clusters.word import Word
from neardup.index.store import SIGNATURE_BYTES, PinStore, looks_of, signatures_of
from neardup.models.looks import present
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake
from neardup.schemas.tables import CLUSTER_HISTORY, CLUSTERS
from neardup.schemas.views import memberships

Int64 = npt.NDArray[np.int64]

LOG_ORDER = [("batch_seq", "ascending"), ("partition", "ascending"), ("offset", "ascending")]
"""The order of decisions: batches one after the other, within a batch by source position. What
people said has partition -1 and comes first."""

FOLDED = ["pin_id", "kind", "ordinal", "previous", "links", "batch_seq", "partition", "offset"]


@dataclass
class Ledger:
    """A fold, the pins that it is about, what people said of them, and the last batch it holds."""

    fold: Fold
    store: PinStore
    word: Word
    through: int = -1

    @classmethod
    def empty(cls, evidence: Evidence, store: PinStore, generation: int = 0) -> "Ledger":
        """Of a log that has no row yet."""
        nobody = np.empty(0, np.int64)
        return cls.of(evidence, store, generation, (nobody, nobody, nobody))

    @classmethod
    def of(
        cls,
        evidence: Evidence,
        store: PinStore,
        generation: int,
        members: tuple[Ordinals, Ordinals, Ordinals],
        pins: int = 0,
        through: int = -1,
    ) -> "Ledger":
        """From memberships as for ``Fold.restore``, in files beside those of the store."""
        folder = Path(tempfile.mkdtemp(prefix="fold-", dir=store.directory))
        fold = Fold.restore(evidence, store.signatures, generation, members, pins, folder)
        # A stream lives for months, and each night brings another fold. Its folder may be gone
        # already, with that of the store.
        weakref.finalize(fold, shutil.rmtree, folder, ignore_errors=True)
        return cls(fold, store, Word(fold), through)


class Folded(NamedTuple):
    """What a batch changed: rows for ``clusters`` and for ``cluster_history``."""

    clusters: pa.Table
    history: pa.Table


def fold_rows(ledger: Ledger, pins: pa.Table) -> Folded:
    """Fold the rows of one micro-batch (columns FOLDED), in log order; their pins are in the store.

    A pin id that moved several times in the batch gets one row, its last standing. What people said
    must have been learned (``Word.learn``).
    """
    if not len(pins):
        return Folded(CLUSTERS.schema.empty_table(), CLUSTER_HISTORY.schema.empty_table())
    word = ledger.word
    said = pc.equal(pins["kind"], "override")
    for sequence in pins.filter(said)["offset"].to_pylist():
        word.hear(sequence)
    events = pins.filter(pc.invert(said))
    batch, begin = _batch(events, ledger), 0
    for i in _named(events, batch, word).tolist():
        word.fold(batch.rows(begin, i))
        word.fold_named(events["pin_id"][i].as_py(), batch.rows(i, i + 1))
        begin = i + 1
    word.fold(batch.rows(begin, len(events)))
    ledger.through = pins["batch_seq"][0].as_py()
    changes = ledger.fold.take_standing()
    history = history_rows(became(changes), ledger.fold.generation, ledger.through)
    return Folded(_cluster_rows(ledger, changes), history)


def _named(events: pa.Table, batch: Batch, word: Word) -> Int64:
    """The rows by which a pin comes or leaves that people named, int64 [n]."""
    if not word.names:
        return np.empty(0, np.int64)
    named = pc.is_in(events["pin_id"], pa.array(sorted(word.names), pa.string())).to_numpy()
    return np.flatnonzero(named & ((batch.started != NOBODY) | (batch.ended != NOBODY)))


def _batch(events: pa.Table, ledger: Ledger) -> Batch:
    """Rows of the log for the fold, without the links that are not trusted.

    Copies: the fold is compiled for arrays that can be written.
    """
    ends = pc.if_else(pc.equal(events["kind"], "repeat"), None, events["previous"])
    ended, started = (
        np.array(pc.fill_null(column, NOBODY), np.int64) for column in (ends, events["ordinal"])
    )
    lengths = pc.fill_null(pc.list_value_length(events["links"]), 0)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    links = pc.list_flatten(events["links"])
    linked = np.array(pc.struct_field(links, "ordinal"), np.int64)
    scores = np.array(pc.struct_field(links, "score"), float)
    looks = ledger.store.looks
    seen = present(looks(np.repeat(started, np.diff(offsets))), looks(linked))
    scores[~ledger.fold.evidence.trusts(scores, seen)] = -np.inf
    return Batch(ended, started, offsets, linked, scores)


def _cluster_rows(ledger: Ledger, changes: Changes) -> pa.Table:
    """Of two versions of a pin the newer one's standing is kept."""
    pin_ids = ledger.store.pin_ids(changes.ordinals)
    newest = _last_of_each(pin_ids)
    pin_ids, ordinals = pin_ids.take(newest), changes.ordinals[newest]
    ids, heads = changes.cluster_ids[newest], changes.heads[newest]
    gone, n = ids == NOBODY, len(newest)
    columns = {
        "pin_id": pin_ids,
        "ordinal": ordinals,
        "cluster_id": pa.array(ids, mask=gone),
        "head": pc.if_else(gone, None, ledger.store.pin_ids(np.where(gone, ordinals, heads))),
        "head_ordinal": pa.array(heads, mask=gone),
        "generation": np.full(n, ledger.fold.generation, np.int64),
        "batch_seq": np.full(n, ledger.through, np.int64),
        "component": pa.nulls(n, pa.int64()),
    }
    return pa.table(columns, schema=CLUSTERS.schema)


def _last_of_each(pin_ids: pa.Array) -> Int64:
    """Positions int64 [k], ascending, of each id's last occurrence."""
    numbers = pin_ids.dictionary_encode().indices.to_numpy()
    _, last = np.unique(numbers[::-1], return_index=True)
    return np.sort(len(numbers) - 1 - last)


def history_rows(history: History, generation: int, batch_seq: int) -> pa.Table:
    """What became of clusters as rows for ``cluster_history``."""
    stamps = np.full((2, len(history.old)), [[generation], [batch_seq]])
    columns = [pa.array(column) for column in (*history, *stamps)]
    return pa.Table.from_arrays(columns, schema=CLUSTER_HISTORY.schema)


def commit(lake: Lake, folded: Folded) -> None:
    """What became of clusters first: whoever sees a new membership can ask where it came from."""
    if len(folded.history):
        lake.append("cluster_history", folded.history)
    if len(folded.clusters):
        lake.append("clusters", folded.clusters)


def named(lake: Lake, since: int, through: int) -> set[str]:
    """The pins about which something was said, or taken back, in the batches after ``since``."""
    sequences = set(heard(lake, through)) - set(heard(lake, since))
    return named_by(lake.read("overrides").to_pylist(), sequences)


def said(lake: Lake, through: int) -> Said:
    """What people said, of what had come into the log by the end of batch ``through``."""
    sequences = set(heard(lake, through))
    rows = lake.read("overrides").to_pylist()
    return said_by(row for row in rows if row["sequence"] in sequences)


def require_hasher(lake: Lake, version: str) -> None:
    """Raise LakeError unless all signatures of the lake were made by this hasher."""
    rows = lake.read("pins", ["hasher"], ds.field("hasher") != version)  # files of one are skipped
    others = sorted(rows["hasher"].unique().to_pylist())
    if others:
        raise LakeError(
            f"The signatures in {lake.path} were made by the hasher {others[0]}, the settings name "
            f"{version}: their bits cannot be compared. Set models.hasher to the former, or give "
            "the new one a lake of its own."
        )


def load_store(lake: Lake, store: PinStore) -> PinStore:
    """Fill an empty store with every pin version of the log; zeros where a pin was purged."""
    columns = ["ordinal", "pin_id", "signature", "looks"]
    added = lake.read("pins", columns, ds.field("kind") == "add")
    added = added.sort_by("ordinal")
    ordinals = added.column("ordinal").to_numpy()
    if not np.array_equal(ordinals, np.arange(len(ordinals))):
        raise LakeError(
            f"The ordinals in {lake.path / 'pins'} are not 0 to {len(ordinals) - 1}, each once: "
            "the log was changed from outside. Restore the table from a backup."
        )
    for batch in added.to_batches():
        signatures = pc.fill_null(batch["signature"], bytes(SIGNATURE_BYTES))
        store.extend(batch["pin_id"], signatures_of(signatures), looks_of(batch["looks"]))
    return store


def restore(lake: Lake, generation: int, evidence: Evidence, store: PinStore) -> Ledger:
    """The ledger as ``clusters`` has it for a generation, after the last batch it covers there."""
    through = covered_batch(lake, generation)
    members = lake.sql(memberships(str(generation), through))
    known = lake.read("pins", ["ordinal"], ds.field("batch_seq") <= through).column("ordinal")
    newest = pc.max(known).as_py()
    ordinals, ids, heads = (
        members.column(name).to_numpy() for name in ("ordinal", "cluster_id", "head_ordinal")
    )
    pins = 0 if newest is None else newest + 1
    ledger = Ledger.of(evidence, store, generation, (ordinals, ids, heads), pins, through)
    _learn(lake, ledger)
    ledger.word.recall(heard(lake, through))
    return ledger


def covered_batch(lake: Lake, generation: int) -> int:
    """The last batch whose memberships are all in ``clusters`` for a generation; -1 if none."""
    own = ds.field("generation") == generation
    return covered_by(lake, generation, lake.read("clusters", ["batch_seq"], own)["batch_seq"])


def covered_by(lake: Lake, generation: int, written: pa.ChunkedArray) -> int:
    """The same, from ``batch_seq`` of the generation's rows."""
    own = ds.field("generation") == generation
    began = lake.read("generations", ["through_batch_seq"], own)["through_batch_seq"]
    last = pc.max(pa.chunked_array([*written.chunks, *began.chunks], pa.int64())).as_py()
    return -1 if last is None else int(last)


def catch_up(lake: Lake, ledger: Ledger, until: int | None = None) -> None:
    """Fold the batches after ``ledger.through``, up to ``until``, and commit what they change.

    Of a generation that nobody sees yet no history is written. Doing it again adds nothing.
    """
    _learn(lake, ledger)
    seen = lake.current_generation() == ledger.fold.generation
    tail = ds.field("batch_seq") > ledger.through
    if until is not None:
        tail &= ds.field("batch_seq") <= until
    rows = lake.read("pins", FOLDED, tail).sort_by(LOG_ORDER)
    numbers = rows.column("batch_seq").to_numpy()
    for batch_seq in np.unique(numbers).tolist():
        begin, end = np.searchsorted(numbers, [batch_seq, batch_seq + 1])
        folded = fold_rows(ledger, rows.slice(begin, end - begin))
        if not seen or _is_told(lake, ledger):
            folded = folded._replace(history=CLUSTER_HISTORY.schema.empty_table())
        commit(lake, folded)


def _is_told(lake: Lake, ledger: Ledger) -> bool:
    """Whether the history of this batch was committed before the stream died."""
    same = (ds.field("generation") == ledger.fold.generation) & (
        ds.field("batch_seq") == ledger.through
    )
    return bool(lake.dataset("cluster_history").count_rows(filter=same))


def _learn(lake: Lake, ledger: Ledger) -> None:
    """What people said since, heard or not, and where those pins are after ``ledger.through``."""
    rows = waiting(lake, ledger.word.known)
    ledger.word.learn(rows, partial(find, lake, ledger.through))


def find(lake: Lake, through: int, pin_ids: Sequence[str]) -> Int64:
    """The newest ordinal of each pin id after a batch, int64 [n]; -1 for none."""
    found = lake.rows(
        """SELECT pin_id, max(ordinal) AS ordinal FROM pins
        WHERE kind = 'add' AND batch_seq <= $through AND list_contains($pin_ids, pin_id)
        GROUP BY pin_id""",
        {"through": through, "pin_ids": list(pin_ids)},
    )
    newest = {row["pin_id"]: row["ordinal"] for row in found}
    return np.array([newest.get(pin_id, NOBODY) for pin_id in pin_ids], np.int64)
