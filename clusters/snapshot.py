"""The live pins after a batch, and where the current generation has them, as arrays.

The same rows as the SQL of ``schemas.views`` gives, an order of magnitude faster: ordinals are
dense, so what belongs to a pin is found by its number. About 100 bytes a live pin, ids included.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from neardup.clusters.ascending import among
from neardup.clusters.ledger import covered_by
from neardup.clusters.treap import NOBODY
from neardup.schemas.lake import Lake

Int64 = npt.NDArray[np.int64]

_ENDS = (ds.field("kind") != "repeat") & ds.field("previous").is_valid()


@dataclass(frozen=True)
class Snapshot:
    """A generation after batch ``through``.

    ``pin_ids``: of all pin versions so far, by ordinal; ``seen`` bool [all versions]: whether they
    have looks. ``live`` int64 [n]: the ordinals of those that have not ended, ascending;
    ``cluster_ids`` and ``heads`` int64 [n]: where they stand.
    ``components`` int64 [all versions]: by ordinal, as the last compaction that weighed the pin
    wrote them; NOBODY for pins that none has.
    ``moved`` bool [n]: of which live pins, ``left`` int64 [k]: of which ordinals of pins that are
    gone, batch ``through`` wrote a row.
    """

    generation: int
    through: int
    pin_ids: pa.Array
    seen: npt.NDArray[np.bool_]
    live: Int64
    cluster_ids: Int64
    heads: Int64
    components: Int64
    moved: npt.NDArray[np.bool_]
    left: Int64


def snapshot(lake: Lake, generation: int) -> Snapshot:
    """A generation after the last batch whose memberships are all in ``clusters``."""
    columns = ["ordinal", "cluster_id", "head_ordinal", "batch_seq", "component"]
    written = lake.read("clusters", columns, ds.field("generation") == generation)
    through = _complete(lake, covered_by(lake, generation, written["batch_seq"]))
    pin_ids, seen = _versions(lake, through)
    until = ds.field("batch_seq") <= through
    ended = lake.read("pins", ["previous"], until & _ENDS).column("previous").to_numpy()
    is_live = np.ones(len(pin_ids), np.bool_)
    is_live[ended] = False
    live = np.flatnonzero(is_live)
    filled = (pc.fill_null(written[name], NOBODY).to_numpy() for name in columns)
    ordinals, ids, heads, batches, components = filled
    order = np.argsort(batches, kind="stable")  # of a whole generation at once nearly in order
    newest, by_pin = np.zeros(len(pin_ids), np.int64), np.full(len(pin_ids), NOBODY)
    newest[ordinals[order]] = order  # of equal places the last counts
    newest = newest[live]
    weighed = order[components[order] != NOBODY]
    by_pin[ordinals[weighed]] = components[weighed]
    stands, head = ids[newest], heads[newest]
    changed = np.unique(ids[batches > batches.min(initial=through)])  # the rest has its first rows
    is_changed = among(changed, ids)
    rows, pins = np.flatnonzero(is_changed), np.flatnonzero(is_changed[newest])
    head[pins] = _heads(ids[rows], heads[rows], batches[rows], stands[pins])
    left = np.sort(ordinals[(ids == NOBODY) & (batches == through)])
    moved = batches[newest] == through
    return Snapshot(generation, through, pin_ids, seen, live, stands, head, by_pin, moved, left)


def _complete(lake: Lake, covered: int) -> int:
    """The last batch before the first with pins that came or ended and no membership of it."""
    rows = lake.read("pins", ["batch_seq", "kind", "previous"], ds.field("batch_seq") > covered)
    changes = rows.filter((pc.field("kind") == "add") | _ENDS)["batch_seq"]
    if len(changes):
        return int(pc.min(changes).as_py()) - 1
    return int(max([covered, *rows["batch_seq"].to_pylist()]))


def _versions(lake: Lake, through: int) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """By ordinal the id of each pin version of the batches up to one, and whether it has looks.

    An ordinal is an added pin's alone, and later batches have greater ones: nothing is filtered.
    """
    added = _by_ordinal(lake.read("pins", ["ordinal", "pin_id", "looks", "batch_seq"]))
    added = added.slice(0, int((added["batch_seq"].to_numpy() <= through).sum()))
    return added["pin_id"].combine_chunks(), pc.is_valid(added["looks"]).to_numpy()


def _by_ordinal(rows: pa.Table) -> pa.Table:
    """Those with an ordinal, in order. Files are read in any, but most hold a stretch of the log:
    that is enough then."""
    batches = [_added(batch) for batch in rows.to_batches()]
    batches = [batch for batch in batches if len(batch)]
    batches.sort(key=lambda batch: batch["ordinal"][0].as_py())
    rows = pa.Table.from_batches(batches, rows.schema)
    ordinals = rows["ordinal"].to_numpy()
    in_order = bool((ordinals[1:] > ordinals[:-1]).all())
    return rows if in_order else rows.take(pa.array(np.argsort(ordinals)))


def _added(rows: pa.RecordBatch) -> pa.RecordBatch:
    ordinals = rows["ordinal"]
    return rows.filter(ordinals.is_valid()) if ordinals.null_count else rows


def _heads(ids: Int64, heads: Int64, batches: Int64, wanted: Int64) -> Int64:
    """The head of each wanted cluster, as on the newest of its rows, int64 like ``wanted``."""
    order = np.lexsort((batches, ids))
    newest = np.searchsorted(ids[order], wanted, "right") - 1
    return heads[order[newest]]
