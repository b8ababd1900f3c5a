import pytest
from hypothesis import given
from hypothesis import strategies as st

from neardup.index.policy import flush_ranges, partition_segments


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


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="flush_pins is 0"):
        flush_ranges(0, 1, 0)
    with pytest.raises(ValueError, match="0 parts"):
        partition_segments([1], 0)
