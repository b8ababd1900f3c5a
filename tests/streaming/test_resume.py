"""Where a stream goes on, from what the tables say, and what its topic no longer has."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neardup.schemas.errors import StreamError
from neardup.streaming.resume import (
    Lost,
    behind_the_first,
    due_offsets,
    lost_ranges,
    require_whole,
    starting_offsets,
)


def test_after_the_log_what_is_in_quarantine_behind_it_and_what_was_lost() -> None:
    positions, quarantined = {0: 41, 2: 0}, {(0, 42), (0, 43), (0, 47), (3, 0), (4, 5)}
    losses = [Lost(0, 44, 46), Lost(1, 7, 9)]
    assert due_offsets(positions, quarantined, losses) == {0: 46, 1: 9, 2: 1, 3: 1}


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)), st.data())
def test_what_is_due_is_the_first_that_is_not_decided(
    logged: set[int], quarantined: set[int], data: st.DataObject
) -> None:
    last = max(logged, default=-1)
    beyond = {(0, offset) for offset in quarantined if offset > last}
    positions = {0: last} if logged else {}
    due = due_offsets(positions, beyond, [])
    if positions or (0, 0) in beyond:
        expected = next(o for o in range(last + 1, 40) if (0, o) not in beyond)
        assert due == {0: expected}
    else:
        assert due == {}, "an event before the first one in quarantine may be undecided"


def test_partitions_that_the_log_does_not_know_are_read_from_their_beginning() -> None:
    assert json.loads(starting_offsets("pins", [0, 1, 2], {0: 42, 2: 1})) == {
        "pins": {"0": 42, "1": -2, "2": 1}
    }


def test_a_rehearsal_reads_one_event_of_each_partition_where_one_waits() -> None:
    """0 goes on, 1 has nothing new, 2 is not known yet and lost its begin, 3 is empty."""
    ranges = {0: (0, 9), 1: (0, 5), 2: (7, 9), 3: (0, 0)}
    assert behind_the_first(ranges, {0: 3, 1: 5}) == {0: 4, 1: 5, 2: 8, 3: 0}


def test_what_expired_is_named_and_what_was_never_due_is_not() -> None:
    ranges = {0: (50, 90), 1: (0, 9), 2: (10, 20)}
    assert lost_ranges({0: 42, 1: 9}, ranges) == [Lost(0, 42, 50)]
    with pytest.raises(StreamError, match=r"offsets 42 to 49 of partition 0.*--accept-loss"):
        require_whole("pins", {0: 42, 1: 9}, ranges)
    require_whole("pins", {0: 50, 1: 9}, ranges)


def test_a_topic_with_less_than_the_log_has_is_refused() -> None:
    with pytest.raises(StreamError, match="ends at offset 9, the log has what was before 12"):
        require_whole("pins", {0: 12}, {0: (0, 9)})
    with pytest.raises(StreamError, match="no partition 1"):
        require_whole("pins", {1: 2}, {0: (0, 9)})
