"""When the memtable becomes segments, and which task searches which: pure functions."""

from collections.abc import Sequence


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
