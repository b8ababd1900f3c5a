"""Where the stream goes on in its topic, and what the topic no longer has.

What comes next follows from the tables alone: after the last decided offset of a partition, after
events behind it that are in quarantine, after ranges whose loss was accepted.
"""

import json
import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from neardup.schemas.errors import StreamError
from neardup.schemas.lake import Lake
from neardup.streaming.state import State

log = logging.getLogger(__name__)

EARLIEST = -2

Offsets = Mapping[int, int]
Ranges = Mapping[int, tuple[int, int]]
"""Partition -> the first offset that Kafka has, and one past the last."""


class Lost(NamedTuple):
    """Offsets ``first`` to ``end - 1`` of a partition."""

    partition: int
    first: int
    end: int


def due_offsets(
    positions: Offsets, quarantined: Collection[tuple[int, int]], losses: Iterable[Lost]
) -> dict[int, int]:
    """Partition -> the first offset that is not decided yet, for partitions that the lake knows.

    ``positions``: the last decided offset of each in `pins`; ``quarantined``: positions beyond.
    """
    due = {partition: last + 1 for partition, last in positions.items()}
    for partition, offset in quarantined:
        if offset == 0:
            due.setdefault(partition, 0)
    ends: dict[tuple[int, int], int] = {}
    for loss in losses:
        due.setdefault(loss.partition, loss.first)
        ends[loss.partition, loss.first] = loss.end
    for partition, offset in due.items():
        while (partition, offset) in quarantined or (partition, offset) in ends:
            offset = ends.get((partition, offset), offset + 1)
        due[partition] = offset
    return due


def lost_ranges(due: Offsets, ranges: Ranges) -> list[Lost]:
    """What was due and is not there any more."""
    return [
        Lost(partition, offset, ranges[partition][0])
        for partition, offset in sorted(due.items())
        if partition in ranges and ranges[partition][0] > offset
    ]


def require_whole(topic: str, due: Offsets, ranges: Ranges) -> None:
    """Raise StreamError if the topic lacks what is due, or less is in it than the log has."""
    for partition, offset in sorted(due.items()):
        if partition not in ranges:
            raise StreamError(
                f"Topic {topic} has no partition {partition} any more, but the log has events of "
                "it: give the topic as it is now a lake of its own."
            )
        if ranges[partition][1] < offset:
            raise StreamError(
                f"Partition {partition} of topic {topic} ends at offset {ranges[partition][1]}, "
                f"the log has what was before {offset}: Kafka lost what it had acknowledged. "
                "Restore the topic, or give it as it is now a lake of its own."
            )
    lost = lost_ranges(due, ranges)
    if lost:
        raise StreamError(
            f"Kafka no longer has {_words(lost)} of topic {topic}: they were removed (retention) "
            "before the stream read them. Restore them if you can. `neardup stream --accept-loss` "
            "goes on with what is there and records the ranges in the table `losses`."
        )


def accept_losses(lake: Lake, topic_id: str, batch_seq: int, lost: list[Lost]) -> None:
    """One commit that records what will never be read."""
    now = datetime.now(UTC)
    rows = [
        {
            "topic_id": topic_id,
            "partition": loss.partition,
            "first_offset": loss.first,
            "end_offset": loss.end,
            "batch_seq": batch_seq,
            "written_at": now,
        }
        for loss in lost
    ]
    lake.append_rows("losses", rows)
    log.warning("accepted the loss of %s", _words(lost))


def due_of(state: State) -> dict[int, int]:
    """``due_offsets`` of a state and of what its lake says was lost."""
    rows = state.lake.rows(
        "SELECT * FROM losses WHERE topic_id = $topic ORDER BY first_offset",
        {"topic": state.topic_id},
    )
    losses = [Lost(row["partition"], row["first_offset"], row["end_offset"]) for row in rows]
    return due_offsets(state.positions, state.quarantined, losses)


def behind_the_first(ranges: Ranges, due: Offsets) -> dict[int, int]:
    """Partition -> one past the first offset that waits there; its end where none does."""
    return {
        partition: min(due.get(partition, first) + 1, end)
        for partition, (first, end) in ranges.items()
    }


def starting_offsets(topic: str, partitions: Iterable[int], due: Offsets) -> str:
    """Spark's JSON for a stream without checkpoint.

    Partitions that the log does not know yet are read from their beginning (-2 to Spark).
    """
    return json.dumps({topic: {str(p): due.get(p, EARLIEST) for p in partitions}})


def _words(lost: list[Lost]) -> str:
    return ", ".join(
        f"offsets {loss.first} to {loss.end - 1} of partition {loss.partition}" for loss in lost
    )
