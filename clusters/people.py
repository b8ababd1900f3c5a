"""People's word in the tables: from ``overrides`` into the log.

What a person says is a row of ``overrides`` (``saying``). The writer of the lake makes it a row of
``pins``, an event like all others: so it has its place in the order of the log, once, whatever
crashes when.
"""

from collections.abc import Iterable
from typing import Any

import pyarrow.compute as pc
import pyarrow.dataset as ds

from neardup.schemas.lake import Lake

OVERRIDES_TOPIC = "overrides"
"""The topic id of those rows of ``pins``; the offset is the sequence."""

OVERRIDES_PARTITION = -1
"""Their partition: in a batch people come first."""


def heard(lake: Lake, through: int | None = None) -> list[int]:
    """The sequences of what people said that is in the log, up to the end of batch ``through``."""
    where = ds.field("kind") == "override"
    if through is not None:
        where &= ds.field("batch_seq") <= through
    return sorted(lake.read("pins", ["offset"], where)["offset"].to_pylist())


def waiting(lake: Lake, last: int) -> list[dict[str, Any]]:
    """Rows of ``overrides`` after the ``last`` that is in the log, in their order."""
    rows = lake.read("overrides", None, ds.field("sequence") > last)
    return rows.sort_by("sequence").to_pylist()  # type: ignore[no-any-return]


def events(rows: Iterable[dict[str, Any]], batch_seq: int) -> list[dict[str, Any]]:
    """What people said as rows of ``pins``, of one batch."""
    return [
        {
            "pin_id": row["pin_id"],
            "kind": "override",
            "batch_seq": batch_seq,
            "topic_id": OVERRIDES_TOPIC,
            "partition": OVERRIDES_PARTITION,
            "offset": row["sequence"],
            "event_time": row["written_at"],
        }
        for row in rows
    ]


def commit_waiting(lake: Lake) -> int:
    """Take what waits into the log, as a batch of its own; how many rows.

    For who holds the lease "stream" and runs no batches: the next fold of the log brings it about.
    """
    rows = waiting(lake, max(heard(lake), default=-1))
    if rows:
        last = pc.max(lake.read("pins", ["batch_seq"])["batch_seq"]).as_py()
        lake.append_rows("pins", events(rows, 0 if last is None else last + 1))
    return len(rows)
