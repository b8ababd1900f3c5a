"""The pins of a cluster, a page at a time."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from duckdb import DuckDBPyConnection

from neardup.answers.near import near
from neardup.clusters.overrides import in_force
from neardup.models.classifier import Classifier
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake


@dataclass(frozen=True)
class Shown:
    """A cluster and one page of its pins (``members``), oldest first.

    ``pins``: how many the whole cluster has. ``best``: its largest, least compressed copy.
    ``next_after``: the ordinal after which the next page begins; None: this is the last one.
    ``said``: rows of ``overrides`` in force that name a pin of the page.
    """

    cluster_id: int
    pins: int
    head: str
    best: str
    members: list[dict[str, Any]]
    next_after: int | None
    said: list[dict[str, Any]]


def show(lake: Lake, classifier: Classifier, name: str, limit: int, after: int = -1) -> Shown:
    """The first ``limit`` pins after ordinal ``after`` of the cluster ``name``; see cluster_of."""
    cluster_id = cluster_of(lake, name)
    with near(lake, "cluster_id", [cluster_id]) as connection:
        whole = _rows(
            connection,
            """SELECT s.pins, s.head, b.best
            FROM cluster_sizes s JOIN cluster_best b USING (cluster_id)""",
        )[0]
        page = _page(connection, classifier, limit + 1, after)
    more, page = len(page) > limit, page[:limit]
    next_after = page[-1]["ordinal"] if more else None
    said = said_of(lake, {pin["pin_id"] for pin in page})
    return Shown(cluster_id, **whole, members=page, next_after=next_after, said=said)


def cluster_of(lake: Lake, name: str) -> int:
    """The id of a cluster given by its id or by the pin id of a member. Raises LakeError."""
    ids = [int(name)] if name.isdecimal() and int(name) < 2**63 else []
    rows = _clusters(lake, "pin_id", [name]) or _clusters(lake, "cluster_id", ids)
    if not rows:
        raise LakeError(
            f"No live pin and no current cluster is called {name!r}: `neardup query "
            '"SELECT * FROM cluster_sizes"` lists the clusters, `neardup history` says what '
            "became of those that are gone."
        )
    return rows[0]


def _clusters(lake: Lake, column: str, values: Sequence[str] | Sequence[int]) -> list[int]:
    with near(lake, column, values) as connection:
        rows = connection.execute("SELECT DISTINCT cluster_id FROM clusters_current").fetchall()
    return [int(cluster_id) for (cluster_id,) in rows]


def members(
    lake: Lake, classifier: Classifier, cluster_id: int, limit: int, after: int = -1
) -> list[dict[str, Any]]:
    """The first ``limit`` pins of a cluster after an ordinal, oldest first.

    With the ``probability`` of their best link into the cluster (``Classifier.probability``), and
    the fewest differing bits of one; None without any.
    """
    with near(lake, "cluster_id", [cluster_id]) as connection:
        return _page(connection, classifier, limit, after)


def _page(
    connection: DuckDBPyConnection, classifier: Classifier, limit: int, after: int
) -> list[dict[str, Any]]:
    return _rows(
        connection,
        """WITH member AS MATERIALIZED (
            SELECT pin_id, ordinal, head FROM clusters_current
            WHERE ordinal > $after ORDER BY ordinal LIMIT $limit
        ), row AS MATERIALIZED (
            SELECT ordinal, links, event_time, width, height, source, image_uri, thumbnail
            FROM pins WHERE kind = 'add' AND ordinal IN (SELECT ordinal FROM member)
        ), pair AS (
            SELECT r.ordinal, l.link.ordinal AS other, l.link.score AS score,
                   l.link.hamming AS hamming
            FROM row r, unnest(r.links) AS l(link)
        ), link AS (
            SELECT ordinal, max(score) AS score, min(hamming) AS hamming FROM pair
            WHERE other IN (SELECT ordinal FROM clusters_current)
            GROUP BY ordinal
        )
        SELECT m.pin_id, m.ordinal, m.pin_id = m.head AS is_head, r.event_time, r.width, r.height,
               r.source, r.image_uri, r.thumbnail, link.hamming,
               1 / (1 + exp($even - link.score)) AS probability
        FROM member m
        JOIN row r ON r.ordinal = m.ordinal
        LEFT JOIN link ON link.ordinal = m.ordinal
        ORDER BY m.ordinal""",
        {"limit": limit, "after": after, "even": classifier.even},
    )


def said_of(lake: Lake, pin_ids: Collection[str]) -> list[dict[str, Any]]:
    """What people said of some pins and holds: rows of ``overrides``, by sequence."""
    rows = in_force(lake.read("overrides").to_pylist())
    return [dict(row) for row in rows if {row["pin_id"], row["other"], row["left"]} & set(pin_ids)]


def _rows(
    connection: DuckDBPyConnection, query: str, parameters: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = connection.execute(query, parameters).to_arrow_table().to_pylist()
    return rows
