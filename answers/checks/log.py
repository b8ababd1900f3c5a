"""Checks of the log: `pins`, and what stands beside it, `quarantine` and `overrides`."""

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds

from neardup.answers.checks.snapshot import EXAMPLES, Bools, Int64, Snapshot, Violations
from neardup.index.exemplars import NOBODY, Exemplars
from neardup.index.store import SIGNATURE_BYTES
from neardup.models.looks import LOOKS_BYTES

PURGED = "starts_with(pin_id, 'purged:')"
"""Whether a row is of a pin that was erased: only its place in the log is left."""


def positions(snapshot: Snapshot) -> Violations:
    return snapshot.offenders(
        f"""SELECT topic_id, partition, "offset", sum(log)::BIGINT AS in_pins,
               sum(quarantined)::BIGINT AS in_quarantine
        FROM (
            SELECT topic_id, partition, "offset", 1 AS log, 0 AS quarantined FROM {snapshot.log}
            UNION ALL
            SELECT DISTINCT topic_id, partition, "offset", 0, 1 FROM quarantine
        )
        GROUP BY topic_id, partition, "offset" HAVING count(*) > 1
        ORDER BY topic_id, partition, "offset" """
    )


def order(snapshot: Snapshot) -> Violations:
    return snapshot.offenders(
        f"""SELECT * FROM (
            SELECT topic_id, partition, batch_seq, "offset",
                   lag("offset") OVER (PARTITION BY topic_id, partition ORDER BY place) AS before
            FROM {snapshot.log}
        ) WHERE "offset" < before ORDER BY topic_id, partition, batch_seq"""
    )


def batches(snapshot: Snapshot) -> Violations:
    return snapshot.offenders(
        f"""SELECT * FROM (
            SELECT batch_seq, lag(batch_seq, 1, -1) OVER (ORDER BY batch_seq) AS before
            FROM (SELECT DISTINCT batch_seq FROM {snapshot.log})
        ) WHERE batch_seq <> before + 1 ORDER BY batch_seq"""
    )


def ordinals(snapshot: Snapshot) -> Violations:
    return snapshot.offenders(
        f"""SELECT * FROM (
            SELECT pin_id, batch_seq, ordinal, lag(ordinal, 1, -1) OVER (ORDER BY place) AS before
            FROM {snapshot.log} WHERE kind = 'add'
        ) WHERE ordinal IS NULL OR before IS NULL OR ordinal <> before + 1 ORDER BY batch_seq"""
    )


def rows(snapshot: Snapshot) -> Violations:
    """All signatures are of one hasher: others could not be compared. Purged pins have none."""
    return snapshot.offenders(
        f"""SELECT pin_id, batch_seq, partition, "offset", kind, ordinal, hasher,
               octet_length(signature) AS signature_bytes
        FROM pins
        WHERE kind NOT IN ('add', 'repeat', 'delete', 'override')
           OR (kind = 'add') <> (ordinal IS NOT NULL)
           OR kind <> 'add' AND coalesce(signature, looks) IS NOT NULL
           OR octet_length(looks) <> {LOOKS_BYTES}
           OR kind = 'add' AND NOT {PURGED} AND (signature IS NULL
              OR octet_length(signature) <> {SIGNATURE_BYTES} OR hasher IS NULL
              OR hasher <> (SELECT min(hasher) FROM pins WHERE kind = 'add'))
        ORDER BY batch_seq, partition, "offset" """
    )


def versions(snapshot: Snapshot) -> Violations:
    """``previous`` is the version that was live, of the same id: the last one, unless deleted.

    Of purged pins nobody knows any more which versions were of one pin.
    """
    return snapshot.offenders(
        f"""SELECT * FROM (
            SELECT pin_id, batch_seq, kind, ordinal, previous, nullif(last_value(
                CASE kind WHEN 'add' THEN ordinal WHEN 'delete' THEN -1 END IGNORE NULLS
            ) OVER (
                PARTITION BY pin_id ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ), -1) AS live
            FROM {snapshot.log} WHERE kind <> 'override' AND NOT {PURGED}
        ) WHERE previous IS DISTINCT FROM live OR kind = 'repeat' AND live IS NULL
        ORDER BY batch_seq, ordinal"""
    )


def links(snapshot: Snapshot) -> Violations:
    """Each linked pin is older, and lived when the newer one came; 16 bytes a pin."""
    lives, n = snapshot.lives, snapshot.pins
    count, examples = 0, list[dict[str, int | str]]()
    rows = snapshot.dataset("pins").to_batches(
        columns=["pin_id", "ordinal", "links"], filter=ds.field("kind") == "add"
    )
    for batch in rows:
        links = batch["links"]
        owners = pc.list_parent_indices(links).to_numpy()
        linked = pc.struct_field(pc.list_flatten(links), "ordinal").to_numpy(zero_copy_only=False)
        own = batch["ordinal"].to_numpy()[owners]
        old = (linked >= 0) & (linked < own) & (own < n)
        wrong = ~old
        wrong[old] = lives.ended[linked[old]] <= lives.added[own[old]]
        count += int(wrong.sum())
        for at in np.flatnonzero(wrong)[: EXAMPLES - len(examples)].tolist():
            pin_id = batch["pin_id"][int(owners[at])].as_py()
            examples.append({"pin_id": pin_id, "ordinal": int(own[at]), "linked": int(linked[at])})
    return Violations(count, examples)


def exemplars(snapshot: Snapshot) -> Violations:
    try:
        replay(snapshot)
    except ValueError as error:
        return Violations(1, [{"said": str(error)}])
    return Violations(0, [])


def replay(snapshot: Snapshot) -> tuple[Exemplars, Bools]:
    """Who is indexed now, and bool [n]: who ever was. 9 bytes a pin.

    Raises ValueError if a row names an exemplar that was not indexed then.
    """
    exemplars, ever = Exemplars(), np.zeros(snapshot.pins, np.bool_)
    for batch in snapshot.batches(
        f"""SELECT coalesce(ordinal, {NOBODY}) AS ordinal, coalesce(exemplar, {NOBODY}) AS exemplar,
            CASE WHEN kind IN ('add', 'delete') THEN coalesce(previous, {NOBODY}) ELSE {NOBODY} END
            AS ended
        FROM {snapshot.log} ORDER BY place"""
    ):
        ordinal, exemplar, ended = (
            batch[name].to_numpy().astype(np.int64) for name in ("ordinal", "exemplar", "ended")
        )
        elected: Int64 = exemplars.replay(ordinal, exemplar, ended)
        ever[elected] = True
        ever[ordinal[(ordinal != NOBODY) & (exemplar == NOBODY)]] = True
    return exemplars, ever


def quarantine(snapshot: Snapshot) -> Violations:
    return snapshot.offenders(
        """SELECT topic_id, partition, "offset", count(*) AS rows FROM quarantine
        GROUP BY topic_id, partition, "offset" HAVING count(*) > 1
        ORDER BY topic_id, partition, "offset" """
    )


def overrides(snapshot: Snapshot) -> Violations:
    """What people said is numbered without gaps, and the log applied it in that order."""
    return snapshot.offenders(
        f"""SELECT * FROM (
            SELECT 'overrides' AS in_table, sequence, kind,
                   lag(sequence, 1, -1) OVER (ORDER BY sequence) AS before,
                   kind IN ('link', 'unlink', 'move', 'block', 'forget')
                       AND (kind = 'forget') = (forgets IS NOT NULL)
                       AND coalesce(forgets < sequence, true) AS sound
            FROM overrides
            UNION ALL
            SELECT 'pins', "offset", kind, lag("offset", 1, -1) OVER (ORDER BY place),
                   "offset" IN (SELECT sequence FROM overrides)
            FROM {snapshot.log} WHERE kind = 'override'
        ) WHERE sequence <> before + 1 OR NOT sound ORDER BY in_table, sequence"""
    )


def gaps(snapshot: Snapshot) -> list[str]:
    """Source positions between decided ones that are nowhere, nor in `losses`; compacted and
    transactional topics have such, others should not."""
    found = snapshot.rows(
        f"""SELECT * FROM (
            SELECT topic_id, partition, "offset" AS upto,
                   lag("offset") OVER (PARTITION BY topic_id, partition ORDER BY "offset") AS after
            FROM (
                SELECT topic_id, partition, "offset" FROM {snapshot.log}
                UNION SELECT topic_id, partition, "offset" FROM quarantine
            )
        ) AS gap WHERE upto > after + 1 AND NOT EXISTS (
            FROM losses WHERE losses.topic_id = gap.topic_id AND losses.partition = gap.partition
                AND first_offset > after AND end_offset <= upto
        ) ORDER BY upto - after DESC LIMIT {EXAMPLES}"""
    )
    return [
        f"Offsets {row['after'] + 1} to {row['upto'] - 1} of partition {row['partition']} of topic "
        f"{row['topic_id']} are in neither `pins` nor `quarantine`. That is as it should be if the "
        "topic is compacted or transactional; if not, those events were lost before they came here."
        for row in found
    ]
