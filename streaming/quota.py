"""How much of the log one source may fill: what is beyond is quarantined, not lost.

Of every ``window`` positions of a partition, at most ``events`` may become pins of one source.
Positions cannot be forged and come in one order, so the same log gives the same decisions however
it is cut into batches, killed or read again; a clock would not. What is counted is what the log
has: accepted events of the window, of at most ``window`` sources of a partition at a time.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # it loads Delta and DuckDB, and workers that meter have neither
    from neardup.schemas.lake import Lake

NAMED = 128
"""Characters of a source that tell it from others; a name may be as long as an event."""


@dataclass
class Usage:
    """A partition: its last decided offset, its window, and accepted events by source in it."""

    last: int = -1
    window: int = -1
    events: Counter[str | None] = field(default_factory=Counter)


@dataclass
class Meter:
    """Counts events in the order of their offsets. ``events`` 0: any number.

    The driver's counts what is in the log; every task gets a copy and counts on from there.
    """

    events: int
    window: int
    partitions: dict[int, Usage] = field(default_factory=dict)

    def complaint(self, row: Mapping[str, Any]) -> str | None:
        """Why a usable event is too much (partition, offset, source); None: it is counted.

        What was decided before is not judged again.
        """
        usage = self._usage(row["partition"], row["offset"]) if self.events else None
        if usage is None:
            return None
        source = row["source"] and row["source"][:NAMED]
        if usage.events[source] >= self.events:
            return (
                f"source {source!r} has {self.events} events among positions "
                f"{usage.window * self.window} to {(usage.window + 1) * self.window - 1}"
            )
        usage.events[source] += 1
        usage.last = row["offset"]
        return None

    def count(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Rows of the log, in order."""
        for row in rows:
            if row["kind"] != "delete":
                self.complaint(row)

    def _usage(self, partition: int, offset: int) -> Usage | None:
        usage = self.partitions.setdefault(partition, Usage())
        if offset <= usage.last:
            return None
        if usage.window != offset // self.window:
            usage.window, usage.events = offset // self.window, Counter()
        return usage


def read_meter(lake: "Lake", topic_id: str, events: int, window: int) -> Meter:
    """The meter at the end of the log."""
    meter = Meter(events, window)
    if not events:
        return meter
    rows = lake.rows(
        """WITH own AS (
            SELECT partition, "offset", kind, left(source, $named) AS source,
                   "offset" // $window AS part
            FROM pins WHERE topic_id = $topic
        ), newest AS (
            SELECT partition, max("offset") AS last, max(part) AS part FROM own GROUP BY partition
        )
        SELECT partition, last, part, source, count(*) FILTER (kind <> 'delete') AS events
        FROM own JOIN newest USING (partition, part) GROUP BY ALL""",
        {"topic": topic_id, "window": window, "named": NAMED},
    )
    for row in rows:
        usage = meter.partitions.setdefault(row["partition"], Usage(row["last"], row["part"]))
        usage.events[row["source"]] += row["events"]
    return meter
