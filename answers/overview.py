"""How a lake stands, in figures: for `neardup status`, and for the metrics of a running stream.

What grows with the lake is read once and then batch by batch; the sizes of all clusters take as
long as they take, and so are asked for less often the longer that was (``SHARE`` of the time).
"""

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.dataset as ds

from neardup.answers.floods import Flood, floods
from neardup.clusters.generations import prepared_generation
from neardup.index.policy import live_segments
from neardup.index.segment import SegmentName
from neardup.schemas.lake import Lake

QUANTILES = (0.5, 0.9, 0.99, 0.999, 1.0)
SHARE = 0.02
LEAST_SECONDS = 60.0
"""Between two counts of all clusters: so much, and as long as the last one took over ``SHARE``."""


@dataclass(frozen=True)
class Sizes:
    """Live pins and clusters of the current generation, and pins of a cluster by quantile."""

    pins: int = 0
    clusters: int = 0
    quantiles: dict[float, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Figures:
    """A lake at a moment. ``positions``: the last decided offset of each (topic id, partition).

    ``memtable``: pins after the last segment. ``merged``: clusters that went into another one.
    ``cached``: live segments that this host has decoded; ``cache_bytes``: of all that it has.
    ``floods``: as of when clusters were counted last.
    """

    events: int
    batch_seq: int
    last_batch_at: datetime | None
    positions: dict[tuple[str, int], int]
    quarantine: dict[str, int]
    generation: int | None
    published_at: datetime | None
    prepared: int | None
    sizes: Sizes
    segments: int
    memtable: int
    merged: int
    cached: int
    cache_bytes: int
    floods: list[Flood]

    def decided(self, topic_id: str) -> dict[int, int]:
        """Of one topic: partition -> last decided offset."""
        return {
            partition: offset
            for (topic, partition), offset in self.positions.items()
            if topic == topic_id
        }


class Overview:
    """Figures of one lake, again and again. For one thread at a time.

    ``cache``: where this host keeps decoded segments, if not where the lake says.
    """

    def __init__(self, lake: Lake, cache: Path | None = None) -> None:
        self._lake = lake
        self._cache = cache or lake.cache_directory()
        self._batch_seq = -1
        self._events = 0
        self._ordinals = 0
        self._positions: Counter[tuple[str, int]] = Counter()
        self._sizes = Sizes()
        self._floods: list[Flood] = []
        self._sizes_due = 0.0

    def figures(self) -> Figures:
        """As the tables are now."""
        self._read_log()
        self._count_sizes()
        segment_ids = self._segment_ids()
        cached, cache_bytes = self._look_into_cache()
        end = SegmentName.of(segment_ids[-1]).end if segment_ids else 0
        return Figures(
            events=self._events,
            batch_seq=self._batch_seq,
            last_batch_at=_last_append(self._lake),
            positions={**self._positions, **self._quarantined_positions()},
            quarantine=self._quarantine(),
            sizes=self._sizes,
            segments=len(segment_ids),
            memtable=self._ordinals - end,
            merged=self._merged(),
            cached=len(cached.intersection(segment_ids)),
            cache_bytes=cache_bytes,
            floods=self._floods,
            **self._generations(),
        )

    def _read_log(self) -> None:
        """The batches since the last time; files of older ones are not opened."""
        columns = ["topic_id", "partition", "offset", "kind", "ordinal", "batch_seq"]
        rows = self._lake.read("pins", columns, ds.field("batch_seq") > self._batch_seq)
        if not len(rows):
            return
        self._batch_seq = pc.max(rows["batch_seq"]).as_py()
        newest = pc.max(rows["ordinal"]).as_py()
        self._ordinals = self._ordinals if newest is None else newest + 1
        events = rows.filter(pc.field("kind") != "override")
        self._events += len(events)
        last = events.group_by(["topic_id", "partition"]).aggregate([("offset", "max")])
        for row in last.to_pylist():
            self._positions[row["topic_id"], row["partition"]] = row["offset_max"]

    def _quarantined_positions(self) -> dict[tuple[str, int], int]:
        """Of partitions whose last events were all rejected."""
        rows = self._lake.rows(
            """SELECT topic_id, partition, max("offset") AS last FROM quarantine
            GROUP BY topic_id, partition"""
        )
        positions = {(row["topic_id"], row["partition"]): row["last"] for row in rows}
        return {key: last for key, last in positions.items() if last > self._positions.get(key, -1)}

    def _quarantine(self) -> dict[str, int]:
        rows = self._lake.rows("SELECT reason, count(*) AS events FROM quarantine GROUP BY reason")
        return {row["reason"]: row["events"] for row in rows}

    def _count_sizes(self) -> None:
        begin = time.monotonic()
        if begin < self._sizes_due:
            return
        (row,) = self._lake.rows(
            f"""SELECT coalesce(sum(pins), 0)::BIGINT AS pins, count(*) AS clusters,
                   quantile_disc(pins, {list(QUANTILES)}) AS quantiles
            FROM cluster_sizes"""
        )
        quantiles = dict(zip(QUANTILES, row["quantiles"] or (), strict=False))
        self._sizes = Sizes(row["pins"], row["clusters"], quantiles)
        self._floods = floods(self._lake)
        took = time.monotonic() - begin
        self._sizes_due = begin + max(LEAST_SECONDS, took / SHARE)

    def _generations(self) -> dict[str, Any]:
        rows = self._lake.read("generations").sort_by("sequence").to_pylist()
        published = [row for row in rows if row["status"] == "published"]
        prepared = prepared_generation(self._lake)
        return {
            "generation": published[-1]["generation"] if published else None,
            "published_at": published[-1]["written_at"] if published else None,
            "prepared": prepared["generation"] if prepared else None,
        }

    def _segment_ids(self) -> list[str]:
        (plan,) = self._lake.rows("SELECT max_by(version, sequence) AS version FROM plans")
        rows = self._lake.rows("SELECT DISTINCT segment_id FROM segments")
        return live_segments((row["segment_id"] for row in rows), plan["version"] or "")

    def _merged(self) -> int:
        (row,) = self._lake.rows(
            """SELECT count(*) AS clusters FROM cluster_history
            WHERE successor <> cluster_id AND share >= 1"""
        )
        return int(row["clusters"])

    def _look_into_cache(self) -> tuple[set[str], int]:
        """The segments that this host has decoded, and the bytes that they take."""
        cached, size = set(), 0
        for path in self._cache.glob("*/*"):
            with suppress(FileNotFoundError):  # evicted just now
                facts = path.stat()
                size += facts.st_size
                if path.suffix == ".json":  # written last
                    cached.add(path.parent.name)
        return cached, size


def _last_append(lake: Lake) -> datetime | None:
    """When `pins` got its newest rows, by Delta's log; None if that is not in it any more."""
    for commit in lake.table("pins").history(limit=50):
        if commit.get("operation") == "WRITE":
            return datetime.fromtimestamp(commit["timestamp"] / 1000, UTC)
    return None


def lag(ranges: dict[int, tuple[int, int]], decided: dict[int, int]) -> dict[int, int]:
    """Partition -> events that wait, from Kafka's (first offset, one past the last) and what is
    decided. Offsets that are no events (of transactions, of compaction) count too."""
    return {
        partition: max(0, end - max(begin, decided.get(partition, -1) + 1))
        for partition, (begin, end) in ranges.items()
    }
