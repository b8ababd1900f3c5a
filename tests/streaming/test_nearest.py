"""The nearest candidates of each query, offered in any order, against sorting all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.index.search import Candidates
from neardup.index.terms import TermPlan, matches
from neardup.streaming.candidates import NO_CANDIDATES, Ended, Memtable
from neardup.streaming.nearest import Nearest, Rule, in_memtable

RULE = Rule(TermPlan(bands=4, term_bits=8, tail_flips=2, min_overlap=2), radius=150, max_links=3)

NOBODY = np.empty(0, np.int64)
NO_ENDS = Ended(NOBODY, NOBODY, NOBODY.astype(np.int32))


def crowd(rng: np.random.Generator, n: int) -> np.ndarray:
    """Signatures around one and at few distances from it; many of them do not match it."""
    bits = np.zeros((n, 1024), np.bool_)
    for row, flips in zip(bits, rng.choice([0, 0, 60, 60, 120], n), strict=True):
        row[rng.choice(1024, flips, replace=False)] ^= True
    return np.packbits(bits, axis=1)


def brute(query: np.ndarray, pins: np.ndarray, which: list[int]) -> list[tuple[int, int, int]]:
    """(hamming, ordinal, overlap) of the nearest ``max_links`` of these pins that match."""
    queries = np.tile(query, (len(pins), 1))
    overlap = matches(RULE.plan, queries, pins)
    hamming = np.bitwise_count(queries ^ pins).sum(axis=1, dtype=np.int64)
    near = [
        (int(hamming[pin]), pin, int(overlap[pin]))
        for pin in which
        if hamming[pin] <= RULE.radius and overlap[pin] >= RULE.plan.min_overlap
    ]
    return sorted(near)[: RULE.max_links]


def rows(found: Candidates, query: int) -> list[tuple[int, int, int]]:
    columns = (found.hamming, found.ordinal, found.overlap)
    own = (column[found.query == query].tolist() for column in columns)
    return list(zip(*own, strict=True))


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32), n=st.integers(0, 30), known=st.integers(0, 30))
def test_offers_in_any_order(seed: int, n: int, known: int) -> None:
    rng = np.random.default_rng(seed)
    pins, queries = crowd(rng, n), crowd(rng, 4)
    near = Nearest(queries, RULE)
    order = rng.permutation(n)
    old = {query: sorted(order[:known].tolist()) for query in range(4)}
    loaded = [
        (query, pin, overlap, hamming)
        for query in range(4)
        for hamming, pin, overlap in brute(queries[query], pins, old[query])
    ]
    for _ in range(2):  # what was in the table before is forgotten
        columns = zip(*loaded, strict=True) if loaded else NO_CANDIDATES
        near.load(Candidates(*(np.array(column, np.int64) for column in columns)))
        offered = {query: list(pins_) for query, pins_ in old.items()}
        for pin in order[known:].tolist():
            first, end = sorted(rng.integers(0, 5, 2).tolist())
            near.offer(pin, pins[pin : pin + 1], first, end)
            for query in range(first, end):
                offered[query].append(pin)
    found = near.candidates()
    assert found.query.tolist() == sorted(found.query.tolist())
    for query in range(4):
        expected = brute(queries[query], pins, offered[query])
        assert rows(found, query) == expected
        hamming, ordinals = near.of(query)
        assert list(zip(hamming.tolist(), ordinals.tolist(), strict=True)) == [
            (bits, pin) for bits, pin, _ in expected
        ]


@pytest.mark.parametrize("seed", range(20))
def test_the_memtable_by_brute_force(seed: int) -> None:
    """Also where the nearest pins do not match and those that do are far behind them."""
    rng = np.random.default_rng(seed)
    pins, queries = crowd(rng, 60), crowd(rng, 5)
    ordinals = np.sort(rng.choice(1_000, 60, replace=False))
    found = in_memtable(queries, NO_ENDS, Memtable(ordinals, pins), RULE)
    for query in range(5):
        expected = brute(queries[query], pins, list(range(60)))
        assert rows(found, query) == [(bits, ordinals[pin], s) for bits, pin, s in expected]
