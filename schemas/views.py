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


def covered(generation: str) -> str:
    """The last batch whose memberships are all there in a generation (a number); -1 if none."""
    return f"""
SELECT greatest(
    (SELECT coalesce(max(batch_seq), -1) FROM clusters WHERE generation = {generation}),
    (SELECT max(through_batch_seq) FROM generations WHERE generation = {generation})
) AS through
"""


CLUSTER_SIZES = """
SELECT cluster_id, any_value(head) AS head, count(*) AS pins
FROM clusters_current
GROUP BY cluster_id
"""

CLUSTER_BEST = """
SELECT cluster_id, head, pin_id AS best, ordinal AS best_ordinal, width, height, file_bytes
FROM (
    SELECT c.cluster_id, c.head, c.pin_id, c.ordinal, p.width, p.height, p.file_bytes,
           row_number() OVER (
               PARTITION BY c.cluster_id
               ORDER BY coalesce(CAST(p.width AS BIGINT) * p.height, 0) DESC,
                        coalesce(p.file_bytes, 0) DESC, c.ordinal
           ) AS place
    FROM clusters_current c JOIN pins p ON p.ordinal = c.ordinal AND p.kind = 'add'
) AS ranked
WHERE place = 1
"""

VIEWS = {
    "clusters_current": memberships(f"({CURRENT_GENERATION})"),
    "cluster_sizes": CLUSTER_SIZES,
    "cluster_best": CLUSTER_BEST,
}
"""Name -> query, in the order in which they can be created."""
