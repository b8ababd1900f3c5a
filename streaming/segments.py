"""Segments in the lake: opened, and built again from the log if they are damaged."""

import logging
from collections.abc import Callable, Iterable
from functools import partial

from neardup.index.cache import SegmentCache
from neardup.index.lake_segments import write_segment
from neardup.index.policy import Span
from neardup.index.segment import Segment, SegmentBlocks, SegmentName, decode_segment
from neardup.schemas.errors import SegmentError
from neardup.schemas.lake import Lake, segment_blocks

log = logging.getLogger(__name__)

Build = Callable[[Span, int], SegmentBlocks]
"""Builds the segment of a range, with a revision, from what is indexed and live in it now."""


def open_segment(lake: Lake, cache: SegmentCache, segment_id: str) -> Segment:
    """A segment of the lake. Raises SegmentError, naming it, if a stored block is damaged."""
    return cache.open(segment_id, partial(segment_blocks, lake.path, segment_id))


def sound_segments(
    lake: Lake, cache: SegmentCache, segment_ids: Iterable[str], build: Build
) -> list[str]:
    """These segments, read ahead; in place of each that cannot be opened, one that was built again
    and stored.

    Damage costs time and nothing else: all that a segment holds is in `pins`.
    """
    sound = []
    for segment_id in segment_ids:
        try:
            open_segment(lake, cache, segment_id)
            cache.read_ahead(segment_id)
        except SegmentError as damage:
            segment_id = _built_again(lake, segment_id, build, damage)
        sound.append(segment_id)
    return sound


def damaged_segments(lake: Lake, segment_ids: Iterable[str]) -> dict[str, SegmentError]:
    """Those whose blocks in the lake are damaged, and how: all are read, whatever a cache holds."""
    damaged = {}
    for segment_id in segment_ids:
        try:
            decode_segment(segment_id, segment_blocks(lake.path, segment_id))
        except SegmentError as damage:
            damaged[segment_id] = damage
    return damaged


def build_again(lake: Lake, damaged: dict[str, SegmentError], build: Build) -> list[str]:
    """Segments in place of damaged ones, built from the log and stored; their ids."""
    return [_built_again(lake, name, build, damage) for name, damage in damaged.items()]


def _built_again(lake: Lake, segment_id: str, build: Build, damage: SegmentError) -> str:
    name = SegmentName.of(segment_id)
    log.warning("%s It is built again now.", damage)
    built = build(name.span, name.revision + 1)
    write_segment(lake, built)
    return built.segment_id
