import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neardup.index.policy import (
    Change,
    flush_ranges,
    live_segments,
    live_spans,
    merge_spans,
    next_span,
    partition_segments,
    share_out,
    wants_rewrite,
)
from neardup.index.segment import SegmentName


@pytest.mark.parametrize(
    ("first", "size", "flush_pins", "expected"),
    [
        (0, 0, 100, []),
        (0, 99, 100, []),
        (0, 100, 100, [(0, 100)]),
        (0, 101, 100, [(0, 100)]),
        (100, 250, 100, [(100, 200), (200, 300)]),
        (300, 3, 1, [(300, 301), (301, 302), (302, 303)]),
        (200, 300, 150, [(200, 300), (300, 450)]),  # flush_pins was 100 before
    ],
)
def test_flush_ranges(first, size, flush_pins, expected):
    assert flush_ranges(first, size, flush_pins) == expected


@given(st.lists(st.integers(0, 500), max_size=20), st.integers(1, 200))
def test_the_same_log_gives_the_same_segments(batches, flush_pins):
    """However the log is cut into batches, and whichever flushes a crash made late."""
    first = size = 0
    flushed = []
    for added in batches:
        size += added
        for begin, end in flush_ranges(first, size, flush_pins):
            flushed.append((begin, end))
            first, size = end, size - (end - begin)
    assert flushed == flush_ranges(0, sum(batches), flush_pins)


@pytest.mark.parametrize(
    ("sizes", "parts", "expected"),
    [
        ([], 3, []),
        ([5], 3, [[0]]),
        ([5, 5, 5, 5], 2, [[0, 2], [1, 3]]),
        ([1, 1, 1, 9], 2, [[3], [0, 1, 2]]),
        ([0, 0, 0], 2, [[0, 2], [1]]),
        ([4, 3, 3], 1, [[0, 1, 2]]),
    ],
)
def test_partition_segments(sizes, parts, expected):
    assert partition_segments(sizes, parts) == expected


@given(st.lists(st.integers(0, 10**6), max_size=40), st.integers(1, 8))
def test_groups_cover_all_segments_and_are_balanced(sizes, parts):
    groups = partition_segments(sizes, parts)
    assert sorted(number for group in groups for number in group) == list(range(len(sizes)))
    assert all(groups)
    loads = [sum(sizes[number] for number in group) for group in groups]
    if loads:
        assert max(loads) - min(loads) <= max(sizes)


@given(st.lists(st.integers(1, 10**6), max_size=20), st.integers(1, 12))
def test_the_largest_task_is_as_small_as_any_division_has(sizes, parts):
    groups, shares = share_out(sizes, parts)
    assert sorted(number for group in groups for number in group) == list(range(len(sizes)))
    assert len(groups) * shares <= parts
    largest = max((sum(sizes[i] for i in group) / shares for group in groups), default=0)
    assert all(
        largest <= max((sum(sizes[i] for i in group) for group in other), default=0) / others
        for others in range(1, parts + 1)
        for other in [partition_segments(sizes, parts // others)]
    )


def test_segments_are_shared_out_by_queries_where_one_is_larger_than_the_rest():
    assert share_out([786, 214], 2) == ([[0, 1]], 2)
    assert share_out([500, 500], 2) == ([[0], [1]], 1)
    assert share_out([1000], 8) == ([[0]], 8)
    assert share_out([], 3)[0] == []


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="flush_pins is 0"):
        flush_ranges(0, 1, 0)
    with pytest.raises(ValueError, match="0 parts"):
        partition_segments([1], 0)


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], []),
        ([(0, 10), (10, 20)], [(0, 10), (10, 20)]),
        ([(10, 20), (0, 10), (0, 20), (20, 30)], [(0, 20), (20, 30)]),
        ([(0, 20), (0, 20), (5, 20), (0, 5)], [(0, 20)]),
    ],
)
def test_live_spans(spans, expected):
    assert live_spans(spans) == expected


def test_live_segments_are_of_one_plan_and_the_last_revision():
    names = [
        SegmentName(0, 10, "aaaaaaaa"),
        SegmentName(10, 20, "aaaaaaaa"),
        SegmentName(10, 20, "aaaaaaaa", 1),
        SegmentName(20, 30, "aaaaaaaa"),
        SegmentName(0, 40, "bbbbbbbb"),
        SegmentName(20, 40, "aaaaaaaa", 3),
    ]
    live = live_segments(map(str, reversed(names)), "aaaaaaaa")
    assert live == [str(names[0]), str(names[2]), str(names[5])]


def spans_of(*borders):
    return list(itertools.pairwise(borders))


@pytest.mark.parametrize(
    ("borders", "expected"),
    [
        ([0], []),
        ([0, 10, 20, 30], []),
        ([0, 10, 20, 30, 40], [(0, 40)]),
        ([0, 40, 50, 60, 70, 80, 90], [(40, 80)]),
        ([0, 40, 80, 120, 160], [(0, 160)]),
        ([0, 40, 80, 120, 130, 140, 150, 160], [(0, 160)]),  # the larger covers the smaller
        ([0, 160, 320, 480, 640], []),  # 640 would be longer than max_pins
        ([0, 7, 14, 40], [(0, 40)]),  # flush_pins was 7 before
        ([0, 35, 45, 80], []),  # one reaches over a border: never
    ],
)
def test_merge_spans(borders, expected):
    assert merge_spans(spans_of(*borders), 10, 639) == expected


@given(st.integers(1, 300))
def test_merging_as_a_counter(flushes):
    """Few segments, each pin written rarely, every ordinal in exactly one segment."""
    spans, written = [], 0
    for number in range(flushes):
        spans.append((10 * number, 10 * number + 10))
        written += 10
        while merges := merge_spans(spans, 10, 10**6):
            spans = live_spans(spans + merges)
            written += sum(end - first for first, end in merges)
    assert [first for first, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == 10 * flushes
    levels = len(f"{flushes:b}") // 2 + 1
    assert len(spans) <= 3 * levels and written <= 10 * flushes * levels


@pytest.mark.parametrize(
    ("held", "gone", "missing", "expected"),
    [
        (100, 100, 0, False),
        (4096, 1023, 0, False),
        (4096, 1024, 0, True),
        (4096, 600, 600, True),
        (10**6, 200_000, 0, False),
        (10**6, 200_000, 80_000, True),
    ],
)
def test_wants_rewrite(held, gone, missing, expected):
    assert wants_rewrite(Change(held, gone, missing)) is expected


def test_next_span_merges_first_then_rewrites():
    fresh, spent = Change(4096, 0, 0), Change(4096, 2000, 0)
    four = {span: spent for span in spans_of(0, 10, 20, 30, 40)}
    assert next_span(four, 10) == (0, 40)
    assert next_span({(0, 10): fresh, (10, 20): spent}, 10) == (10, 20)
    assert next_span({(0, 10): fresh}, 10) is None
    assert next_span({}, 10) is None
