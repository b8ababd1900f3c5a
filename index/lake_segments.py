"""Segments as rows of the lake: written in one commit, and which of them are searched."""

from typing import Any

from neardup.index.plans import current_plan
from neardup.index.policy import live_segments
from neardup.index.segment import SegmentBlocks, SegmentName
from neardup.schemas.lake import Lake


def write_segment(lake: Lake, built: SegmentBlocks) -> None:
    """One commit that adds a segment's blocks to ``segments``."""
    lake.append_rows("segments", rows_of(built))


def rows_of(built: SegmentBlocks) -> list[dict[str, Any]]:
    """The rows of ``segments``, one for each block."""
    first, end = SegmentName.of(built.segment_id).span
    return [
        {
            "segment_id": built.segment_id,
            "block": name,
            "first_ordinal": first,
            "end_ordinal": end,
            "payload": payload,
        }
        for name, payload in built.blocks.items()
    ]


def stored_segments(lake: Lake) -> list[str]:
    """The ids of all segments in ``segments``, searched or not. The log alone is read."""
    partitions = lake.table("segments").partitions()
    return sorted(partition["segment_id"] for partition in partitions)


def searched_segments(lake: Lake) -> list[str]:
    """Those of the lake's plan that no other one covers. Raises LakeError if it has no plan."""
    return live_segments(stored_segments(lake), current_plan(lake).version)
