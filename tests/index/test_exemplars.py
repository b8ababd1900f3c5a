"""Exemplars against a model of dicts and sets, and a crowd of 100,000 copies."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.index.exemplars import COPY_BITS, CROWD_BITS, NOBODY, Exemplars, exemplar_for
from neardup.index.hamming import distances


@dataclass
class Model:
    """The same rules, by looking at every pin at every election."""

    founder: dict[int, int] = field(default_factory=dict)
    live: set[int] = field(default_factory=set)
    indexed: set[int] = field(default_factory=set)

    def add(self, ordinal: int, exemplar: int) -> None:
        self.live.add(ordinal)
        if exemplar == NOBODY:
            self.indexed.add(ordinal)
        self.founder[ordinal] = ordinal if exemplar == NOBODY else self.founder[exemplar]

    def end(self, ordinal: int) -> int:
        self.live.remove(ordinal)
        if ordinal not in self.indexed:
            return NOBODY
        self.indexed.remove(ordinal)
        orphans = [pin for pin in self.live if self.founder[pin] == self.founder[ordinal]]
        if not orphans:
            return NOBODY
        self.indexed.add(min(orphans))
        return min(orphans)

    def followers(self, exemplar: int) -> list[int]:
        group = [pin for pin in self.live if self.founder[pin] == self.founder[exemplar]]
        return sorted(set(group) - {exemplar})


def check(exemplars: Exemplars, model: Model) -> None:
    n = len(exemplars)
    assert exemplars.indexed(0, n).tolist() == sorted(model.indexed)
    assert exemplars.live(0, n).tolist() == sorted(model.live)
    assert exemplars.is_indexed(np.arange(n)).tolist() == [o in model.indexed for o in range(n)]
    for pin in model.indexed:
        assert exemplars.followers(pin).tolist() == model.followers(pin)


@st.composite
def logs(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """Rows (ordinal or -1, exemplar or -1, previous or -1) that are possible one after the other.

    Most pins follow, and more often than not it is an exemplar that ends.
    """
    model, rows, ordinal = Model(), [], 0
    for _ in range(draw(st.integers(0, 40))):
        ends = model.live and draw(st.integers(0, 2)) == 0
        previous = NOBODY
        if ends:
            some = model.indexed if draw(st.booleans()) else model.live
            previous = draw(st.sampled_from(sorted(some)))
            model.end(previous)
        if ends and draw(st.booleans()):
            rows.append((NOBODY, NOBODY, previous))
            continue
        exemplar = NOBODY
        if model.indexed and draw(st.integers(0, 3)):
            exemplar = draw(st.sampled_from(sorted(model.indexed)))
        model.add(ordinal, exemplar)
        rows.append((ordinal, exemplar, previous))
        ordinal += 1
    return rows


def apply(target: Any, row: tuple[int, int, int]) -> int:
    ordinal, exemplar, previous = row
    elected = NOBODY if previous == NOBODY else target.end(previous)
    if ordinal != NOBODY:
        target.add(ordinal, exemplar)
    return int(elected)


def columns(rows: list[tuple[int, int, int]]) -> list[np.ndarray]:
    return list(np.array(rows, np.int64).reshape(-1, 3).T)


@settings(deadline=None)  # the first call compiles
@given(rows=logs())
def test_every_event_does_what_the_model_says(rows: list[tuple[int, int, int]]) -> None:
    exemplars, model = Exemplars(), Model()
    for row in rows:
        assert apply(exemplars, row) == apply(model, row)
        check(exemplars, model)


@settings(deadline=None)  # the first call compiles
@given(rows=logs(), cut=st.integers(0, 40))
def test_a_replay_in_two_parts_is_the_same_as_event_by_event(
    rows: list[tuple[int, int, int]], cut: int
) -> None:
    model = Model()
    elected = [apply(model, row) for row in rows]
    replayed = Exemplars()
    found = [replayed.replay(*columns(part)).tolist() for part in (rows[:cut], rows[cut:])]
    check(replayed, model)
    assert found[0] + found[1] == [pin for pin in elected if pin != NOBODY]


@settings(deadline=None)  # the first call compiles
@given(rows=logs(), cut=st.integers(0, 40))
def test_nothing_is_left_of_a_trial(rows: list[tuple[int, int, int]], cut: int) -> None:
    exemplars, model = Exemplars(), Model()
    for row in rows[:cut]:
        apply(exemplars, row)
        apply(model, row)
    tried = Model(dict(model.founder), set(model.live), set(model.indexed))
    with exemplars.trial():
        for row in rows[cut:]:
            assert apply(exemplars, row) == apply(tried, row)
        check(exemplars, tried)
    check(exemplars, model)
    for row in rows[cut:]:
        assert apply(exemplars, row) == apply(model, row)
    check(exemplars, model)


@pytest.mark.parametrize(
    ("hamming", "expected"),
    [
        ([], NOBODY),
        ([COPY_BITS], 70),
        ([COPY_BITS + 1], NOBODY),
        ([CROWD_BITS - 1, CROWD_BITS], NOBODY),
        ([20, CROWD_BITS - 1, CROWD_BITS], 70),
        ([20, CROWD_BITS, CROWD_BITS + 1], NOBODY),
        ([20, 21, CROWD_BITS, CROWD_BITS, 300], 70),
        ([0, 300, 301, 302], 70),
    ],
)
def test_a_copy_and_a_pin_in_a_crowd_follow_the_nearest(hamming: list[int], expected: int) -> None:
    ordinals = np.arange(70, 70 + len(hamming))
    assert exemplar_for(np.array(hamming, np.int32), ordinals, max_links=3) == expected


@pytest.mark.parametrize(("flips", "entries"), [(2, 1), (40, 4)])
def test_a_crowd_of_100_000_is_a_few_entries_whatever_is_deleted(flips: int, entries: int) -> None:
    """Copies that differ by a few bits are one entry, looser ones ``max_links``; then ends."""
    max_links, n = 4, 100_000
    print("seed", seed := 7)
    rng = np.random.default_rng(seed)
    pins = np.tile(rng.integers(0, 256, 128, np.uint8), (n, 1))
    for _ in range(flips):
        pins[np.arange(n), rng.integers(0, 128, n)] ^= 1 << rng.integers(0, 8, n, np.uint8)
    exemplars = Exemplars()
    indexed = np.empty(0, np.int64)
    for ordinal in range(n):
        bits = distances(np.repeat(pins[ordinal : ordinal + 1], len(indexed), 0), pins[indexed])
        order = np.argsort(bits, kind="stable")
        exemplar = exemplar_for(bits[order], indexed[order], max_links)
        exemplars.add(ordinal, exemplar)
        if exemplar == NOBODY:
            indexed = exemplars.indexed(0, n)
    assert len(indexed) == entries
    for round_ in range(1_000):  # the exemplars themselves, then anybody
        some = exemplars.indexed(0, n) if round_ % 2 else exemplars.live(0, n)
        exemplars.end(int(rng.choice(some)))
    _everyone_is_answered_for(exemplars, n, entries)
    rows = rng.permutation(exemplars.live(0, n))[:-50]
    exemplars.replay(np.full(len(rows), NOBODY), np.full(len(rows), NOBODY), rows)
    _everyone_is_answered_for(exemplars, n, entries)


def _everyone_is_answered_for(exemplars: Exemplars, n: int, entries: int) -> None:
    indexed = exemplars.indexed(0, n)
    assert len(indexed) <= entries
    groups = [exemplars.followers(int(exemplar)) for exemplar in indexed]
    answered = np.sort(np.concatenate([indexed, *groups]))
    assert np.array_equal(answered, exemplars.live(0, n)), "each live pin once, in a live group"


@pytest.mark.parametrize(
    "row",
    [
        (5, NOBODY, NOBODY),
        (3, 2, NOBODY),
        (3, 1, NOBODY),
        (3, 3, NOBODY),
        (3, -2, NOBODY),
        (3, NOBODY, 3),
        (NOBODY, NOBODY, 1),
        (NOBODY, NOBODY, -2),
    ],
)
def test_what_cannot_follow_is_an_error_not_a_write_somewhere(row: tuple[int, int, int]) -> None:
    """Pin 0 is indexed, 1 has ended, 2 follows 0."""
    begin = [(0, NOBODY, NOBODY), (1, NOBODY, NOBODY), (2, 0, 1)]
    replayed = Exemplars()
    with pytest.raises(ValueError, match=r"Row 3 of 4 adds pin .* cannot follow the rows"):
        replayed.replay(*columns([*begin, row]))
    exemplars = Exemplars()
    for good in begin:
        apply(exemplars, good)
    with pytest.raises(ValueError, match="cannot"):
        apply(exemplars, row)
