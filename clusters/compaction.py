"""The next generation: a better fold of a prefix of the log, written beside the current one.

Components that nothing happened to since the compaction before stay as they are; the others are
recomputed, by whoever does the ``Work``. What comes out is the partition that a compaction of the
whole log would give, whatever compactions there were before (``recompute``).
"""

import logging
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from neardup.clusters.ascending import among, place
from neardup.clusters.components import components
from neardup.clusters.evidence import Evidence
from neardup.clusters.generations import generation_row
from neardup.clusters.identity import History, history, keep_ids
from neardup.clusters.links import logged_links
from neardup.clusters.overrides import Ruling
from neardup.clusters.quality import drift
from neardup.clusters.recompute import Recipe
from neardup.clusters.snapshot import Snapshot, snapshot
from neardup.clusters.spoken import as_links, ruling, spoken_of
from neardup.clusters.touched import touched
from neardup.clusters.work import Live, Todo, Work
from neardup.schemas.crash import crash_point
from neardup.schemas.errors import CompactionError
from neardup.schemas.lake import Lake
from neardup.schemas.tables import CLUSTERS

log = logging.getLogger(__name__)

Int64 = npt.NDArray[np.int64]

FEW = 100
"""So many pins may move whatever share of a small lake they are."""
ROWS_A_PIN = 1.25
"""So many rows of a live pin has a generation at most when it begins: readers pass over all but the
newest."""


@dataclass(frozen=True)
class Outcome:
    """What a compaction came to: its figures, as in ``generations``, and what clusters became.

    ``recomputed``: so many of the live pins were weighed anew.
    """

    generation: int
    recomputed: int
    figures: dict[str, Any]
    history: History


class Placed(NamedTuple):
    """Where the live pins of a snapshot are put, int64 [n] each; heads and components: ordinals."""

    cluster_ids: Int64
    heads: Int64
    components: Int64


def prepare(
    lake: Lake, recipe: Recipe, work: Work, max_moved_share: float = 1.0, dry_run: bool = False
) -> Outcome | None:
    """Write the rows of the next generation and announce it as prepared.

    None if nothing came since the compaction that began the current one, or no pin is there.
    Raises CompactionError if more than ``max_moved_share`` of the live pins would move, and more
    than FEW. Then, and with ``dry_run``, nothing is written. The caller holds the lease "compact".
    """
    now = snapshot(lake, lake.current_generation())
    since = _compacted_through(lake, now.generation, recipe)
    if since == now.through or not len(now.live):
        return None
    generation = _next_generation(lake)
    ruled = ruling(lake, now)
    todo = now.live if since is None else _todo(lake, now, ruled, since, recipe.evidence)
    placed = _recompute(recipe, work, now, ruled, todo, generation)
    figures = _figures(now, placed) | {"recipe": recipe.name}
    log.info("generation %d, %d pins recomputed: %s", generation, len(todo), figures)
    _guard(figures, max_moved_share)
    if not dry_run:
        if since is None or not _write_changes(lake, now, placed, generation, todo):
            lake.append("clusters", _rows(now, placed, generation, np.arange(len(now.live))))
        crash_point("compaction.written")
        generation_row(lake, generation, "prepared", **figures)
    return Outcome(generation, len(todo), figures, history(now.cluster_ids, placed.cluster_ids))


def _compacted_through(lake: Lake, generation: int, recipe: Recipe) -> int | None:
    """The last batch that this generation's compaction saw; None if another recipe made it."""
    made = (ds.field("generation") == generation) & (ds.field("recipe") == recipe.name)
    rows = lake.read("generations", ["through_batch_seq"], made)
    return int(rows["through_batch_seq"][0].as_py()) if len(rows) else None


def _next_generation(lake: Lake) -> int:
    """One past the last announced; rows that a killed compaction left under it are removed."""
    generation = 1 + int(max(lake.read("generations", ["generation"])["generation"].to_pylist()))
    if lake.dataset("clusters").count_rows(filter=ds.field("generation") == generation):
        lake.remove_generation(generation)
    return generation


def _todo(lake: Lake, now: Snapshot, ruled: Ruling, since: int, evidence: Evidence) -> Int64:
    """Live pins of components that something happened to after batch ``since``; ordinals."""
    spoken = spoken_of(lake, now, since)
    if spoken.unblocked:  # its links are anywhere in the log
        return now.live
    tail = lake.read(
        "pins",
        ["kind", "ordinal", "previous", "links"],
        (ds.field("batch_seq") > since) & (ds.field("batch_seq") <= now.through),
    )
    added = tail.filter(pc.field("kind") == "add")
    ended = tail.filter(pc.field("kind") != "repeat")["previous"].drop_null()
    links = logged_links(added["ordinal"], added["links"])
    blocked = ruled.blocked
    links = links.where(~among(blocked, links.newer) & ~among(blocked, links.older))
    seen = now.seen[links.newer] & now.seen[links.older]
    links = links.where(evidence.trusts(links.scores, seen))
    is_touched = touched(
        now.components,
        np.append(links.newer, ruled.together[:, 0]),
        np.append(links.older, ruled.together[:, 1]),
        np.concatenate([added["ordinal"].to_numpy(), ended.to_numpy(), spoken.pins]),
    )
    return now.live[is_touched[now.live]]


def _recompute(
    recipe: Recipe, work: Work, now: Snapshot, ruled: Ruling, todo: Int64, generation: int
) -> Placed:
    """All pins' places; those of ``todo``, whole components, anew."""
    at = place(now.live, todo)
    labels = _components(recipe.evidence, work, now, todo, ruled)
    _, which, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    several = sizes[which] > 1
    oldest, heads = todo.copy(), todo.copy()
    if several.any():
        was_head = now.heads[at] == todo
        many = Todo(todo[several], labels[several], was_head[several], as_links(ruled))
        done = work.parts(recipe, many)
        found = place(todo, done.ordinals)
        oldest[found], heads[found] = done.oldest, done.heads
    placed = Placed(now.cluster_ids.copy(), now.heads.copy(), now.components[now.live])
    placed.cluster_ids[at] = keep_ids(now.cluster_ids[at], oldest, generation)
    placed.heads[at], placed.components[at] = heads, labels
    return placed


def _components(evidence: Evidence, work: Work, now: Snapshot, todo: Int64, ruled: Ruling) -> Int64:
    """For each pin of ``todo`` the oldest pin of its component, as ordinals int64 [n]."""
    free = todo[~among(ruled.blocked, todo)]
    newer, older = work.forest(evidence, Live(free, now.seen[free]))
    together = ruled.together[among(todo, ruled.together).all(axis=1)]
    ends = np.append(newer, together[:, 0]), np.append(older, together[:, 1])
    return todo[components(len(todo), *(place(todo, end) for end in ends))]


def _figures(now: Snapshot, placed: Placed) -> dict[str, Any]:
    """What the row of ``generations`` says: how far the stream had strayed from this."""
    agreed, changes = drift(now.cluster_ids, placed.cluster_ids)
    return {
        "through_batch_seq": now.through,
        "pins": len(now.live),
        "clusters": int((placed.heads == now.live).sum()),
        "moved": changes.moved,
        "split": changes.split,
        "merged": changes.merged,
        "pair_f1": agreed.pair_f1,
        "b3_f1": agreed.b3_f1,
        "ari": agreed.ari,
    }


def _guard(figures: dict[str, Any], max_moved_share: float) -> None:
    moved, pins = figures["moved"], figures["pins"]
    if moved <= max(FEW, max_moved_share * pins):
        return
    raise CompactionError(
        f"The compaction would move {moved:,} of {pins:,} pins ({moved / pins:.1%}; "
        f"{figures['split']:,} clusters split, {figures['merged']:,} merged, pair F1 with the "
        f"present clusters {figures['pair_f1']:.4f}); compact.max_moved_share allows "
        f"{max_moved_share:.1%}. Nothing was written. If a new classifier, another setting or a "
        "long time without compaction explains it, run `neardup compact --force`."
    )


def _write_changes(lake: Lake, now: Snapshot, placed: Placed, generation: int, todo: Int64) -> bool:
    """Have the generation begin with the rows of the one before, and write what is other than them.

    False, and nothing is done, if it had more than ROWS_A_PIN then. What is carried over are the
    batches before ``now.through``: a pin has one row of a batch, and this compaction's rows are of
    that one. So a generation has the same rows, whichever files hold them.
    """
    carried = lake.carried(now.generation, now.through)
    is_other = now.moved.copy()
    is_other[place(now.live, todo)] = True
    others = np.flatnonzero(is_other)
    if carried.total + len(others) + len(now.left) > ROWS_A_PIN * len(now.live):
        return False
    held = carried.rows.append_column(
        "generation", pa.array(np.full(len(carried.rows), generation))
    )
    parts = [_rows(now, placed, generation, others), _left(now, generation), held]
    rows = pa.concat_tables(parts, promote_options="default")
    if len(rows):
        lake.append("clusters", rows)
    crash_point("compaction.changed")
    if carried.files:
        lake.carry(carried.files, generation)
    return True


def _rows(now: Snapshot, placed: Placed, generation: int, at: Int64) -> pa.Table:
    """The rows of ``clusters`` for the live pins at these places."""
    columns = [
        now.pin_ids.take(pa.array(now.live[at])),
        pa.array(now.live[at]),
        pa.array(placed.cluster_ids[at]),
        now.pin_ids.take(pa.array(placed.heads[at])),
        pa.array(placed.heads[at]),
        pa.array(np.full(len(at), generation)),
        pa.array(np.full(len(at), now.through)),
        pa.array(placed.components[at]),
    ]
    return pa.Table.from_arrays(columns, schema=CLUSTERS.schema)


def _left(now: Snapshot, generation: int) -> pa.Table:
    """The rows of pins that are gone since batch ``now.through``, without the columns of nulls."""
    n = len(now.left)
    columns = {
        "pin_id": now.pin_ids.take(pa.array(now.left)),
        "ordinal": now.left,
        "generation": np.full(n, generation),
        "batch_seq": np.full(n, now.through),
    }
    return pa.table(columns)
