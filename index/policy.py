"""When the memtable becomes segments, which segments merge, who searches which: pure functions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from neardup.index.postings import MAX_PINS
from neardup.index.segment import SegmentName


def flush_ranges(memtable_first: int, memtable_size: int, flush_pins: int) -> list[tuple[int, int]]:
    """The ordinal ranges (first, end) to flush now, ascending.

    The memtable holds ``memtable_size`` pins from ordinal ``memtable_first`` on. Ranges end at
    multiples of ``flush_pins`` and nowhere else: the same log gives the same segments, however
    often the stream stopped. If ``flush_pins`` was changed in between, the first range is shorter.
    """
    if flush_pins < 1:
        raise ValueError(f"flush_pins is {flush_pins}; a segment holds at least one pin")
    ranges = []
    first, last = memtable_first, memtable_first + memtable_size
    while (end := (first // flush_pins + 1) * flush_pins) <= last:
        ranges.append((first, end))
        first = end
    return ranges


def partition_segments(sizes: Sequence[int], parts: int) -> list[list[int]]:
    """At most ``parts`` groups of segment numbers with nearly the same sum of ``sizes``.

    Largest first, each to the group that has least so far (Graham 1969: at most 4/3 of the best
    possible). Groups are not empty, their numbers ascend, and equal input gives equal output.
    """
    if parts < 1:
        raise ValueError(f"{parts} parts; there must be at least one")
    groups: list[list[int]] = [[] for _ in range(min(parts, len(sizes)))]
    load = [0] * len(groups)
    for number in sorted(range(len(sizes)), key=lambda number: (-sizes[number], number)):
        least = min(range(len(groups)), key=lambda group: (load[group], len(groups[group])))
        groups[least].append(number)
        load[least] += sizes[number]
    return [sorted(group) for group in groups]


def share_out(sizes: Sequence[int], parts: int) -> tuple[list[list[int]], int]:
    """Groups of segments, as ``partition_segments``, and how many tasks share the queries of each.

    There are at most ``parts`` tasks. Segments are of very different sizes: of all ways that one is
    taken in which the largest task is the smallest, of equal ones that with the most groups, as
    a host then needs the fewest segments.
    """

    def largest(groups: int) -> float:
        loads = (sum(sizes[i] for i in group) for group in partition_segments(sizes, groups))
        return max(loads, default=0) / (parts // groups)

    counts = {min(parts // shares, max(1, len(sizes))) for shares in range(1, parts + 1)}
    groups = min(sorted(counts, reverse=True), key=largest)
    return partition_segments(sizes, groups), parts // groups


Span = tuple[int, int]
"""A segment's range of ordinals: first, and one past the last."""

FAN_OUT = 4

LEAST_CHANGES = 1024
"""A segment is not built again for fewer pins than these."""


def live_spans(spans: Iterable[Span]) -> list[Span]:
    """The ranges that no other one covers, ascending: those that a merge replaced are left out."""
    live: list[Span] = []
    for first, end in sorted(set(spans), key=lambda span: (span[0], -span[1])):
        if not live or end > live[-1][1]:
            live.append((first, end))
    return live


def live_segments(segment_ids: Iterable[str], plan: str) -> list[str]:
    """The segments to search, ascending: of one plan's version, each range in its last revision,
    and no range that another one covers."""
    newest: dict[Span, str] = {}
    for name in sorted(map(SegmentName.of, segment_ids)):
        if name.plan == plan:
            newest[name.span] = str(name)
    return [newest[span] for span in live_spans(newest)]


def merge_spans(
    spans: Sequence[Span], flush_pins: int, max_pins: int, fan_out: int = FAN_OUT
) -> list[Span]:
    """The ranges to merge now, ascending; each covers several whole segments of ``spans``.

    ``spans`` are adjacent and ascending. As in a counter of base ``fan_out``: a range of
    ``flush_pins * fan_out^i`` ordinals that begins at a multiple of its length is merged once
    segments cover it. So a pin is written log(n / flush_pins) / log(fan_out) times, and there are
    at most ``fan_out - 1`` segments of each size. No merged range is longer than ``max_pins``.
    """
    wanted: list[Span] = []
    length = flush_pins * fan_out
    while length <= max_pins:
        for first in range(0, spans[-1][1] if spans else 0, length):
            if _is_covered(spans, first, first + length):
                wanted.append((first, first + length))
        length *= fan_out
    return [span for span in live_spans(wanted) if span not in spans]


def _is_covered(spans: Sequence[Span], first: int, end: int) -> bool:
    """Whether whole segments make up a range, none reaching over its borders."""
    inside = [span for span in spans if span[0] >= first and span[1] <= end]
    return bool(inside) and inside[0][0] == first and inside[-1][1] == end


class Change(NamedTuple):
    """What became of a segment: ``held`` indexed pins; ``gone``: those of them that no longer
    answer; ``missing``: pins elected in its range since, which wait in the memtable."""

    held: int
    gone: int
    missing: int


def wants_rewrite(change: Change) -> bool:
    """Whether a segment is built again over the same range.

    At a quarter of the segment: a rewrite costs as much as the whole segment, so no pin pays for
    more than four.
    """
    held, gone, missing = change
    return gone + missing >= max(LEAST_CHANGES, (held + missing) // 4)


def next_span(changes: Mapping[Span, Change], flush_pins: int) -> Span | None:
    """The range to build next: the first that is to be merged, else one that is mostly gone.

    ``changes``: every segment's range, ascending, with what became of it.
    """
    merges = merge_spans(list(changes), flush_pins, MAX_PINS)
    if merges:
        return merges[0]
    return next((span for span, change in changes.items() if wants_rewrite(change)), None)
