"""The views that people query, as SQL that DuckDB and Spark SQL both run."""

CURRENT_GENERATION = """
SELECT max_by(generation, sequence) AS generation FROM generations WHERE status = 'published'
"""


def memberships(generation: str, through: int | None = None) -> str:
    """One row per live pin: its newest membership in a generation (a number, or a subquery).

    With ``through``, as it stood after that micro-batch. The head is read from the cluster's
    newest row, so a new head costs one row, not one per member.
    """
    until = "" if through is None else f" AND batch_seq <= {through}"
    return f"""
WITH membership AS (
    SELECT *, row_number() OVER (PARTITION BY pin_id ORDER BY batch_seq DESC) AS age
    FROM clusters
    WHERE generation = {generation}{until}
), heads AS (
    SELECT cluster_id, max_by(head, batch_seq) AS head,
           max_by(head_ordinal, batch_seq) AS head_ordinal
    FROM membership
    WHERE cluster_id IS NOT NULL
    GROUP BY cluster_id
)
SELECT m.pin_id, m.ordinal, m.cluster_id, h.head, h.head_ordinal, m.generation, m.batch_seq
FROM membership m JOIN heads h ON m.cluster_id = h.cluster_id
WHERE m.age = 1
"""


CLUSTER_SIZES = """
SELECT cluster_id, any_value(head) AS head, count(*) AS pins
FROM clusters_current
GROUP BY cluster_id
"""

VIEWS = {
    "clusters_current": memberships(f"({CURRENT_GENERATION})"),
    "cluster_sizes": CLUSTER_SIZES,
}
"""Name -> query, in the order in which they can be created."""
