"""Checks of `clusters` and `generations`."""

from neardup.answers.checks.snapshot import EXAMPLES, NONE, Snapshot, Violations
from neardup.clusters.fold import FOUNDER_BITS
from neardup.clusters.level import AHEAD
from neardup.schemas.views import memberships as members_sql


def ahead(snapshot: Snapshot) -> Violations:
    return snapshot.offenders(AHEAD)


def memberships(snapshot: Snapshot) -> Violations:
    """Each live pin has one newest row, of its live version; nobody else has one."""
    return snapshot.offenders(
        f"""WITH live AS (
            SELECT pin_id, ordinal FROM {snapshot.log}
            WHERE kind = 'add' AND batch_seq <= {snapshot.through} AND ordinal NOT IN (
                SELECT previous FROM {snapshot.log}
                WHERE kind IN ('add', 'delete') AND previous IS NOT NULL
                  AND batch_seq <= {snapshot.through})
        ), members AS ({_members(snapshot)})
        SELECT coalesce(live.pin_id, members.pin_id) AS pin_id, live.ordinal AS live_version,
               members.ordinal AS member, members.cluster_id, 'no such member' AS wrong
        FROM live FULL JOIN members
            ON live.pin_id = members.pin_id AND live.ordinal = members.ordinal
        WHERE live.pin_id IS NULL OR members.pin_id IS NULL
        UNION ALL
        SELECT pin_id, NULL, any_value(ordinal), any_value(cluster_id),
               count(*) || ' rows of batch ' || batch_seq
        FROM clusters WHERE generation = {snapshot.generation}
        GROUP BY pin_id, batch_seq HAVING count(*) > 1
        ORDER BY pin_id"""
    )


def heads(snapshot: Snapshot) -> Violations:
    return snapshot.offenders(
        f"""WITH members AS ({_members(snapshot)})
        SELECT DISTINCT cluster_id, head, head_ordinal FROM members
        WHERE (cluster_id, head, head_ordinal) NOT IN
            (SELECT (cluster_id, pin_id, ordinal) FROM members)
        ORDER BY cluster_id"""
    )


def _members(snapshot: Snapshot) -> str:
    return members_sql(str(snapshot.generation), snapshot.through)


def cluster_ids(snapshot: Snapshot) -> Violations:
    """An id that no pin has any more never comes back, in its generation or in a later one.

    In a generation: the number of a cluster's members, batch after batch, is zero at its end alone.
    Across: what a generation begins with, it has from the one before or founds itself.
    """
    return snapshot.offenders(
        f"""WITH announced AS (
            SELECT generation, min(sequence) AS sequence,
                   min_by(through_batch_seq, sequence) AS through
            FROM generations GROUP BY generation
        ), moves AS (
            SELECT generation, pin_id, batch_seq, cluster_id, lag(cluster_id) OVER (
                PARTITION BY generation, pin_id ORDER BY batch_seq) AS before
            FROM clusters WHERE generation IN (SELECT generation FROM announced)
        ), counted AS (
            SELECT generation, cluster_id, batch_seq, sum(sum(change)) OVER (
                PARTITION BY generation, cluster_id ORDER BY batch_seq) AS members,
                lead(batch_seq) OVER (
                    PARTITION BY generation, cluster_id ORDER BY batch_seq) AS next
            FROM (
                SELECT generation, cluster_id, batch_seq, 1 AS change FROM moves
                WHERE cluster_id IS NOT NULL AND cluster_id IS DISTINCT FROM before
                UNION ALL
                SELECT generation, before, batch_seq, -1 FROM moves
                WHERE before IS NOT NULL AND before IS DISTINCT FROM cluster_id
            ) GROUP BY generation, cluster_id, batch_seq
        ), parents AS (
            SELECT g.generation, any_value(g.through) AS through,
                   max_by(p.generation, p.sequence) AS parent
            FROM announced g JOIN generations p
                ON p.status = 'published' AND p.sequence < g.sequence
            GROUP BY g.generation
        ), begun AS (
            SELECT c.generation, cluster_id, max(batch_seq) AS batch_seq,
                   max_by(members, batch_seq) AS members
            FROM counted c JOIN parents ON c.generation = parents.generation
                AND c.batch_seq <= parents.through
            GROUP BY c.generation, cluster_id
        )
        SELECT generation, cluster_id, next AS batch_seq, 'it was gone before' AS wrong
        FROM counted WHERE members = 0 AND next IS NOT NULL
        UNION ALL
        SELECT generation, cluster_id, min(batch_seq), 'no such generation has begun'
        FROM moves WHERE cluster_id >> {FOUNDER_BITS} > generation GROUP BY generation, cluster_id
        UNION ALL
        SELECT child.generation, child.cluster_id, child.batch_seq, 'the generation before had none'
        FROM begun child JOIN parents ON child.generation = parents.generation
            AND child.cluster_id >> {FOUNDER_BITS} < child.generation
        WHERE child.members > 0
          AND EXISTS (SELECT 1 FROM counted c WHERE c.generation = parents.parent)
          AND coalesce((SELECT max_by(parent.members, parent.batch_seq) FROM counted parent
            WHERE parent.generation = parents.parent AND parent.cluster_id = child.cluster_id
              AND parent.batch_seq <= parents.through), 0) = 0
        ORDER BY generation, cluster_id, batch_seq"""
    )


def generations(snapshot: Snapshot) -> Violations:
    """The rows in their order tell a life that can be: prepared, then published, perhaps again, and
    removed at last."""
    last = snapshot.value(f"SELECT coalesce(max(batch_seq), -1) FROM {snapshot.log}")
    wrong = []
    known: set[int] = set()
    rows = snapshot.rows(
        """SELECT sequence, generation, status, through_batch_seq FROM generations
        ORDER BY sequence, generation"""
    )
    for number, row in enumerate(rows):
        said = unlikely(row, number, known, last)
        known.add(row["generation"])
        if said:
            wrong.append({**row, "wrong": said})
    if not any(row["status"] == "published" for row in rows):
        wrong.append({"wrong": "no generation is published"})
    return Violations(len(wrong), wrong[:EXAMPLES]) if wrong else NONE


def unlikely(row: dict[str, int | str], number: int, known: set[int], last: int) -> str | None:
    """What cannot be about a row of `generations`, the ``number``-th; None if all is well."""
    generation, through = int(row["generation"]), int(row["through_batch_seq"])
    if row["sequence"] != number:
        return f"row {number} in the order of sequences"
    if row["status"] not in ("prepared", "published", "removed"):
        return "no such status"
    if not -1 <= through <= last:
        return f"it covers batches that are not in pins; the last one there is {last}"
    if generation in known or number == generation == 0:
        return None
    if row["status"] != "prepared":
        return "it was never prepared"
    return None if generation == max(known, default=-1) + 1 else "it is not the next number"


def unfolded(snapshot: Snapshot) -> list[str]:
    """Batches that only `pins` has: the stream is at them, or was killed there."""
    last = snapshot.value(f"SELECT coalesce(max(batch_seq), -1) FROM {snapshot.log}")
    first = snapshot.value(
        f"""SELECT min(batch_seq) FROM {snapshot.log}
        WHERE batch_seq > {snapshot.through} AND (kind = 'add' OR kind = 'delete'
            AND previous IS NOT NULL)"""
    )
    if first is None:
        return []
    return [
        f"Batches {first} to {last} are in `pins` and not yet in `clusters`: the running stream "
        "adds their memberships, or the next one when it starts. They are not checked."
    ]
