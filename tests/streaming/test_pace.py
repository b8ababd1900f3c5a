"""The limit of a batch: within its bounds, still when calm, at the target time when behind."""

from hypothesis import given
from hypothesis import strategies as st

from neardup.streaming.pace import GROWTH, WORTH, Bounds, Seen, first_limit, next_limit

BOUNDS = Bounds(3.0, 1_000, 20_000)

batches = st.builds(Seen, st.integers(0, 100_000), st.floats(0.0, 600.0))
bounds = st.builds(
    Bounds, st.floats(0.1, 60.0), st.integers(1, 50_000), st.integers(1, 100_000)
).map(lambda it: it._replace(least=min(it.least, it.most)))


@given(st.integers(1, 100_000), st.lists(batches, max_size=6), bounds)
def test_never_out_of_bounds_and_never_far_in_one_step(
    limit: int, seen: list[Seen], bounds: Bounds
) -> None:
    limit = max(bounds.least, min(limit, bounds.most))
    found = next_limit(limit, seen, bounds)
    assert bounds.least <= found <= bounds.most
    assert found <= GROWTH * limit + 1
    assert found == limit or max(found, limit) >= WORTH * min(found, limit)


@given(st.lists(st.builds(Seen, st.integers(0, 499), st.floats(0.0, 3.0))))
def test_calm_batches_change_nothing(seen: list[Seen]) -> None:
    assert next_limit(1_000, seen, BOUNDS) == 1_000


@given(st.floats(0.0, 1.5), st.floats(1e-5, 1e-2))
def test_a_backlog_reaches_the_target_time_and_stays(alone: float, each: float) -> None:
    """A batch costs ``alone`` seconds, and ``each`` for every event."""
    limit, limits = first_limit(2_000, BOUNDS), []
    for _ in range(12):
        limit = next_limit(limit, [Seen(limit, alone + each * limit)] * 2, BOUNDS)
        limits.append(limit)
    assert limits[-1] == limits[-2] == limits[-3]
    seconds = alone + each * limit
    assert limit * WORTH >= BOUNDS.most or seconds >= BOUNDS.seconds / WORTH - 0.01
    assert limit <= BOUNDS.least * WORTH or seconds <= BOUNDS.seconds * WORTH + 0.01


def test_the_first_limit_is_within_the_bounds() -> None:
    assert first_limit(2_000, BOUNDS) == 2_000
    assert first_limit(10, BOUNDS) == 1_000
    assert first_limit(50_000, BOUNDS) == 20_000


def test_one_slow_batch_is_no_reason() -> None:
    assert next_limit(8_000, [Seen(8_000, 3.0), Seen(8_000, 40.0)], BOUNDS) == 8_000
    assert next_limit(8_000, [Seen(8_000, 40.0), Seen(8_000, 40.0)], BOUNDS) == 1_000


def test_without_room_between_the_bounds_the_limit_is_fixed() -> None:
    """As where a test wants equal batches: ``max_events_per_batch`` below the least."""
    fixed = Bounds(3.0, 1_000, 30)
    assert first_limit(2_000, fixed) == 30
    assert next_limit(30, [Seen(30, 0.1)] * 2, fixed) == 30
