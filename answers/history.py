"""What became of a cluster: where its pins went, and where those clusters' pins went since."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake


class Step(NamedTuple):
    """``shared`` pins of a cluster, ``share`` of those it had, were in ``successor`` from then on.

    ``depth``: how many changes of id lie between this and where the tree begins. ``told``: what
    became of the successor since stands elsewhere in the tree, and is not repeated.
    """

    cluster_id: int
    successor: int
    shared: int
    share: float
    generation: int
    batch_seq: int
    depth: int
    told: bool


@dataclass(frozen=True)
class History:
    """Trees of steps, one from each of ``clusters``, in the order in which they are printed.

    ``now``: the clusters in them that are there today: cluster_id, head, pins.
    """

    clusters: list[int]
    trees: list[list[Step]]
    now: list[dict[str, Any]]


Change = list[dict[str, Any]]
"""The rows of ``cluster_history`` of one cluster at one time; the most shared pins first."""


def history(lake: Lake, name: str) -> History:
    """What became of a cluster, or of the clusters that a pin has been in. Raises LakeError."""
    begun = _clusters_of(lake, name)
    changes = _changes(lake, begun)
    clusters: list[int] = []
    trees: list[list[Step]] = []
    seen: set[int] = set()
    for cluster_id in begun:
        if cluster_id not in seen:
            clusters.append(cluster_id)
            trees.append(list(follow(changes, cluster_id)))
            seen |= {cluster_id} | {step.successor for step in trees[-1]}
    now = lake.rows(
        """SELECT cluster_id, head, pins FROM cluster_sizes
        WHERE list_contains($seen, cluster_id) ORDER BY pins DESC, cluster_id""",
        {"seen": sorted(seen)},
    )
    return History(clusters, trees, now)


def follow(changes: dict[int, list[Change]], cluster_id: int) -> Iterator[Step]:
    """The steps from a cluster on, each before those that follow from it.

    ``changes``: of each cluster, in the order of time. Steps of a cluster that goes on under its
    id have one depth; another id is one deeper. Every row gives one step at most, however often
    clusters part and meet again.
    """
    taken: set[tuple[int, tuple[int, int]]] = set()

    def fresh(of: int, later: list[Change]) -> Iterator[dict[str, Any]]:
        new = [change for change in later if (of, _time(change[0])) not in taken]
        taken.update((of, _time(change[0])) for change in new)
        return iter([row for change in new for row in change])

    stack = [fresh(cluster_id, changes.get(cluster_id, []))]
    while stack:
        row = next(stack[-1], None)
        if row is None:
            stack.pop()
            continue
        depth, successor = len(stack) - 1, row["successor"]
        if successor == row["cluster_id"]:
            yield Step(**row, depth=depth, told=False)
            continue
        later = [c for c in changes.get(successor, []) if _time(c[0]) > _time(row)]
        told = bool(later) and (successor, _time(later[0][0])) in taken
        yield Step(**row, depth=depth, told=told)
        stack.append(fresh(successor, later))


def _time(row: dict[str, Any]) -> tuple[int, int]:
    """Of two generations with the same batch the newer one was published after that batch."""
    return row["batch_seq"], row["generation"]


def _changes(lake: Lake, begun: list[int]) -> dict[int, list[Change]]:
    """The changes of all clusters that can be reached. A killed writer says some things twice."""
    rows = lake.rows(
        """WITH RECURSIVE reached(cluster_id) AS (
            SELECT unnest($begun) UNION
            SELECT h.successor FROM cluster_history h JOIN reached r ON r.cluster_id = h.cluster_id
        )
        SELECT DISTINCT h.cluster_id, h.successor, h.shared, h.share, h.generation, h.batch_seq
        FROM cluster_history h JOIN reached r ON r.cluster_id = h.cluster_id
        ORDER BY h.cluster_id, h.batch_seq, h.generation, h.shared DESC, h.successor""",
        {"begun": begun},
    )
    changes: dict[int, list[Change]] = {}
    for (cluster_id, _), change in groupby(rows, lambda row: (row["cluster_id"], _time(row))):
        changes.setdefault(cluster_id, []).append(list(change))
    return changes


def _clusters_of(lake: Lake, name: str) -> list[int]:
    """The clusters that a pin has been in, oldest first, as far as the tables go back; or the
    cluster of that id, though it may be gone."""
    rows = lake.rows(
        """WITH told AS (
            SELECT pin_id, cluster_id, generation, batch_seq FROM clusters
            WHERE cluster_id IS NOT NULL
              AND generation IN (SELECT generation FROM generations WHERE status = 'published')
        ), pin AS (
            SELECT cluster_id, min((generation, batch_seq)) AS since FROM told
            WHERE pin_id = $name GROUP BY cluster_id
        ), cluster AS (
            SELECT cluster_id FROM told UNION SELECT cluster_id FROM cluster_history
            UNION SELECT successor FROM cluster_history
        )
        SELECT cluster_id FROM (
            SELECT cluster_id, since FROM pin
            UNION ALL
            SELECT cluster_id, NULL FROM cluster
            WHERE CAST(cluster_id AS VARCHAR) = $name AND NOT EXISTS (SELECT 1 FROM pin)
        ) ORDER BY since""",
        {"name": name},
    )
    if not rows:
        raise LakeError(
            f"No pin and no cluster was ever called {name!r} in {lake.path}, as far as its tables "
            'go back: `neardup query "SELECT * FROM cluster_sizes"` lists the clusters of today.'
        )
    return [int(row["cluster_id"]) for row in rows]
