"""What was rejected: by reason, by position, and what may be sent again."""

from dataclasses import dataclass
from typing import Any

from neardup.schemas.errors import LakeError
from neardup.schemas.events import REASONS
from neardup.schemas.lake import Lake

MAX_ROWS = 1_000_000


@dataclass(frozen=True)
class Choice:
    """Which rows of `quarantine`: all that have each of these; None leaves it open."""

    reason: str | None = None
    partition: int | None = None
    offset: int | None = None
    topic_id: str | None = None
    limit: int = MAX_ROWS

    def __post_init__(self) -> None:
        if self.reason is not None and self.reason not in REASONS:
            raise LakeError(
                f"There is no reason {self.reason!r}; an event is quarantined for one of: "
                f"{', '.join(sorted(REASONS))}."
            )

    @property
    def where(self) -> str:
        """The condition in SQL, with named parameters."""
        return " AND ".join(f'"{name}" = ${name}' for name in self.parameters) or "true"

    @property
    def parameters(self) -> dict[str, Any]:
        named = ("reason", "partition", "offset", "topic_id")
        return {name: getattr(self, name) for name in named if getattr(self, name) is not None}


def by_reason(lake: Lake) -> list[dict[str, Any]]:
    """How many events each reason cost, when first and last, with an example; most first."""
    return lake.rows(
        """SELECT reason, count(*) AS events, min(kafka_time) AS first, max(kafka_time) AS last,
               min_by(detail, "offset") AS example
        FROM quarantine GROUP BY reason ORDER BY events DESC, reason"""
    )


def listed(lake: Lake, choice: Choice) -> list[dict[str, Any]]:
    """The chosen rows without their bytes, newest first."""
    return lake.rows(
        f"""SELECT topic_id, partition, "offset", kafka_time, reason, detail, key,
               octet_length(value) AS bytes
        FROM quarantine WHERE {choice.where}
        ORDER BY kafka_time DESC, topic_id, partition, "offset" DESC LIMIT {choice.limit}""",
        choice.parameters,
    )


def one(lake: Lake, partition: int, offset: int, topic_id: str | None = None) -> dict[str, Any]:
    """The row of a source position, with its bytes. Raises LakeError if there is not just one."""
    choice = Choice(partition=partition, offset=offset, topic_id=topic_id)
    rows = lake.rows(f"SELECT * FROM quarantine WHERE {choice.where}", choice.parameters)
    if not rows:
        raise LakeError(
            f"No event of partition {partition}, offset {offset} is in quarantine: `neardup "
            "quarantine list --limit 20` shows those that are."
        )
    if len(rows) > 1:
        topics = ", ".join(sorted(row["topic_id"] for row in rows))
        raise LakeError(
            f"Partition {partition}, offset {offset} is in quarantine of several topics: name one "
            f"of them with --topic-id ({topics})."
        )
    return rows[0]


def to_replay(lake: Lake, choice: Choice, even_if_newer: bool = False) -> list[dict[str, Any]]:
    """The chosen events, oldest first, with key and value.

    Of equal ones, which were sent again before and came back here, the newest alone. Left out are
    those of a pin about which the log has a later event: sent again, the older one would win over
    it, and one that was sent again with success would be once more. ``even_if_newer`` takes both.
    Where a pin has changed its partition (some were added), times say what is later.
    """
    older = "false" if even_if_newer else "pin_id IS NOT NULL"
    return lake.rows(
        f"""WITH chosen AS (
            SELECT *, row_number() OVER (PARTITION BY key, hash(value), value
                ORDER BY kafka_time DESC, "offset" DESC) AS copy
            FROM quarantine WHERE {choice.where}
        ), decided AS (
            SELECT pin_id, topic_id, partition, max("offset") AS last, max(event_time) AS seen
            FROM pins GROUP BY pin_id, topic_id, partition
        )
        SELECT topic_id, partition, "offset", reason, key, value FROM chosen
        WHERE copy = 1 AND NOT EXISTS (
            FROM decided WHERE {older} AND encode(decided.pin_id) = chosen.key
                AND decided.topic_id = chosen.topic_id
                AND CASE WHEN decided.partition = chosen.partition
                    THEN decided.last > chosen."offset" ELSE decided.seen > chosen.kafka_time END
        )
        ORDER BY topic_id, partition, "offset" LIMIT {choice.limit}""",
        choice.parameters,
    )
