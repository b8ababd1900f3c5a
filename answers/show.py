"""The pins of a cluster, a page at a time."""

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from neardup.clusters.overrides import in_force
from neardup.models.classifier import Classifier
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake

_MEMORY = "1GB"  # of DuckDB, however large the lake: it puts on disk what does not fit


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
    whole = _rows(
        lake,
        """SELECT s.pins, s.head, b.best FROM cluster_sizes s
        JOIN cluster_best b ON b.cluster_id = s.cluster_id WHERE s.cluster_id = $cluster""",
        {"cluster": cluster_id},
    )[0]
    page = members(lake, classifier, cluster_id, limit + 1, after)
    more, page = len(page) > limit, page[:limit]
    next_after = page[-1]["ordinal"] if more else None
    said = said_of(lake, {pin["pin_id"] for pin in page})
    return Shown(cluster_id, **whole, members=page, next_after=next_after, said=said)


def cluster_of(lake: Lake, name: str) -> int:
    """The id of a cluster given by its id or by the pin id of a member. Raises LakeError."""
    rows = _rows(
        lake,
        """SELECT cluster_id FROM clusters_current
        WHERE pin_id = $name OR CAST(cluster_id AS VARCHAR) = $name
        ORDER BY pin_id = $name DESC LIMIT 1""",
        {"name": name},
    )
    if not rows:
        raise LakeError(
            f"No live pin and no current cluster is called {name!r}: `neardup query "
            '"SELECT * FROM cluster_sizes"` lists the clusters, `neardup history` says what '
            "became of those that are gone."
        )
    return int(rows[0]["cluster_id"])


def members(
    lake: Lake, classifier: Classifier, cluster_id: int, limit: int, after: int = -1
) -> list[dict[str, Any]]:
    """The first ``limit`` pins of a cluster after an ordinal, oldest first.

    With the ``probability`` of their best link into the cluster (``Classifier.probability``), and
    the fewest differing bits of one; None without any.
    """
    return _rows(
        lake,
        """WITH member AS MATERIALIZED (
            SELECT pin_id, ordinal, head FROM clusters_current
            WHERE cluster_id = $cluster AND ordinal > $after ORDER BY ordinal LIMIT $limit
        ), row AS MATERIALIZED (
            SELECT ordinal, links, event_time, width, height, source, image_uri, thumbnail
            FROM pins WHERE kind = 'add' AND ordinal IN (SELECT ordinal FROM member)
        ), pair AS (
            SELECT r.ordinal, l.link.ordinal AS other, l.link.score AS score,
                   l.link.hamming AS hamming
            FROM row r, unnest(r.links) AS l(link)
        ), link AS (
            SELECT ordinal, max(score) AS score, min(hamming) AS hamming FROM pair
            WHERE other IN (SELECT ordinal FROM clusters_current WHERE cluster_id = $cluster)
            GROUP BY ordinal
        )
        SELECT m.pin_id, m.ordinal, m.pin_id = m.head AS is_head, r.event_time, r.width, r.height,
               r.source, r.image_uri, r.thumbnail, link.hamming,
               1 / (1 + exp($even - link.score)) AS probability
        FROM member m
        JOIN row r ON r.ordinal = m.ordinal
        LEFT JOIN link ON link.ordinal = m.ordinal
        ORDER BY m.ordinal""",
        {"cluster": cluster_id, "limit": limit, "after": after, "even": classifier.even},
    )


def said_of(lake: Lake, pin_ids: Collection[str]) -> list[dict[str, Any]]:
    """What people said of some pins and holds: rows of ``overrides``, by sequence."""
    rows = in_force(lake.read("overrides").to_pylist())
    return [dict(row) for row in rows if {row["pin_id"], row["other"], row["left"]} & set(pin_ids)]


def _rows(lake: Lake, query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """As ``Lake.rows``, in bounded memory."""
    with tempfile.TemporaryDirectory() as folder, lake.connect() as connection:
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        connection.execute("SET temp_directory = $folder", {"folder": folder})
        rows: list[dict[str, Any]] = (
            connection.sql(query, params=parameters).to_arrow_table().to_pylist()
        )
        return rows
