"""The pins of a cluster."""

from typing import Any

from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake


def cluster_of(lake: Lake, name: str) -> int:
    """The id of a cluster given by its id or by the pin id of a member. Raises LakeError."""
    rows = lake.rows(
        """SELECT cluster_id FROM clusters_current
        WHERE pin_id = $name OR CAST(cluster_id AS VARCHAR) = $name
        ORDER BY pin_id = $name DESC LIMIT 1""",
        {"name": name},
    )
    if not rows:
        raise LakeError(
            f"No live pin and no current cluster is called {name!r}: `neardup query "
            '"SELECT * FROM cluster_sizes"` lists the clusters.'
        )
    return int(rows[0]["cluster_id"])


def members(lake: Lake, cluster_id: int, limit: int, offset: int = 0) -> list[dict[str, Any]]:
    """A page of a cluster's pins, oldest first, with the best score of their links into it."""
    return lake.rows(
        """WITH member AS (
            SELECT pin_id, ordinal, head FROM clusters_current WHERE cluster_id = $cluster
            ORDER BY ordinal LIMIT $limit OFFSET $offset
        ), link AS (
            SELECT p.ordinal, max(l.link.score) AS score, min(l.link.hamming) AS hamming
            FROM pins p, unnest(p.links) AS l(link)
            WHERE p.ordinal IN (SELECT ordinal FROM member)
              AND l.link.ordinal IN
                  (SELECT ordinal FROM clusters_current WHERE cluster_id = $cluster)
            GROUP BY p.ordinal
        )
        SELECT m.pin_id, m.ordinal, m.pin_id = m.head AS is_head, p.event_time, p.width, p.height,
               p.source, p.image_uri, p.thumbnail, link.hamming,
               1 / (1 + exp(-link.score)) AS probability
        FROM member m
        JOIN pins p ON p.ordinal = m.ordinal
        LEFT JOIN link ON link.ordinal = m.ordinal
        ORDER BY m.ordinal""",
        {"cluster": cluster_id, "limit": limit, "offset": offset},
    )
