import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.index.hamming import pairs_within
from neardup.index.ids import id_hashes
from neardup.index.postings import LONG_LIST
from neardup.index.search import search, search_some
from neardup.index.segment import build_segment, decode_segment
from neardup.index.terms import TermPlan, matches

SIZES = [0, 1, 2, 255, 256, 257, 4096]


def rows(columns):
    return list(zip(*(column.tolist() for column in columns), strict=True))


def oracle(plan, queries, signatures, ordinals, radius):
    """Every pair in the radius by brute force, kept if it matches in enough bands."""
    query, pin, hamming = pairs_within(queries, signatures, radius)
    shared = matches(plan, queries[query], signatures[pin])
    keep = shared >= plan.min_overlap
    return rows((query[keep], ordinals[pin[keep]], shared[keep], hamming[keep]))


def segment_of(signatures, ordinals, plan, span=None):
    ids = id_hashes([str(ordinal) for ordinal in ordinals])
    span = span or (int(min(ordinals, default=0)), int(max(ordinals, default=-1)) + 1)
    return decode_segment(*build_segment(span, ordinals, signatures, ids, ordinals, plan))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("ones", [0.5, 0.85])
def test_search_is_brute_force_over_pairs_that_match(make_signatures, n, ones):
    plan, signatures = TermPlan(bands=48), make_signatures(n, n + 1, ones)
    ordinals = 10**10 + 3 * np.arange(n)
    segment = segment_of(signatures, ordinals, plan)
    near = signatures[:30].copy()
    near[:, :3] ^= 0x5A
    queries = np.concatenate([near, make_signatures(10, 9, ones)])
    for radius in (0, 300, 512):
        found = search(segment, queries, radius)
        assert rows(found.candidates) == oracle(plan, queries, signatures, ordinals, radius)
        assert found.work.entries >= found.work.counted >= found.work.compared
        assert found.work.compared >= len(found.candidates.query)


@pytest.mark.parametrize("entries", [1, 500, 5_000])
def test_search_by_parts_is_search_at_once(make_signatures, monkeypatch, entries):
    """However little of it is in memory at a time."""
    signatures = make_signatures(1_000, 3, 0.8)
    segment, queries = segment_of(signatures, np.arange(1_000), TermPlan(bands=8)), signatures[:50]
    whole = search(segment, queries, 400)
    monkeypatch.setattr("neardup.index.search.MOST_ENTRIES", entries)
    assert search_some(segment, queries, 400).queries < whole.queries == 50
    parts = search(segment, queries, 400)
    assert rows(parts.candidates) == rows(whole.candidates)
    assert parts.work == whole.work


@pytest.mark.parametrize("n", [65_535, 65_536, 65_537])
def test_search_of_larger_segments(make_signatures, n):
    plan = TermPlan(bands=8)
    rng = np.random.default_rng(n)
    signatures = rng.integers(0, 256, (n, 128), np.uint8)
    queries = signatures[-20:] ^ np.packbits(rng.random((20, 1024)) < 0.05, axis=1)
    segment = segment_of(signatures, np.arange(n), plan)
    found = search(segment, queries, 300)
    assert rows(found.candidates) == oracle(plan, queries, signatures, np.arange(n), 300)
    assert len(found.candidates.query) >= 15


@settings(deadline=None, max_examples=40)
@given(
    plan=st.builds(
        TermPlan,
        bands=st.just(24),
        term_bits=st.integers(1, 24),
        flips=st.integers(0, 1),
        tail_flips=st.integers(0, 32),
        min_overlap=st.integers(1, 24),
    ),
    n=st.integers(0, 400),
    q=st.integers(0, 40),
    ones=st.sampled_from([0.02, 0.5, 0.8, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_search_with_any_plan(make_signatures, plan, n, q, ones, seed):
    signatures = make_signatures(n, seed, ones)
    queries = np.concatenate([signatures, make_signatures(q, seed + 1, ones)])[n : n + q]
    queries[::2] = signatures[: len(queries[::2])] if n >= q else queries[::2]
    ordinals = np.arange(5, 5 + n)
    segment = segment_of(signatures, ordinals, plan, (0, 500))
    found = search(segment, queries, 330, plan.words(queries))
    assert rows(found.candidates) == oracle(plan, queries, signatures, ordinals, 330)


@settings(deadline=None, max_examples=25)
@given(
    cuts=st.lists(st.integers(1, 399), max_size=8),
    merged=st.lists(st.booleans(), min_size=10, max_size=10),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_history_of_flushes_and_merges_finds_the_same(make_signatures, cuts, merged, seed):
    """However the log is cut into segments, and whichever neighbours were merged."""
    plan, signatures = TermPlan(bands=16), make_signatures(400, seed)
    queries = signatures[::7] ^ np.uint8(1)
    borders = [0, *sorted(set(cuts)), 400]
    kept = [0, *(b for b, gone in zip(borders[1:-1], merged, strict=False) if not gone), 400]
    found = []
    for first, end in itertools.pairwise(kept):
        ordinals = np.arange(first, end)
        segment = segment_of(signatures[first:end], ordinals, plan)
        found += rows(search(segment, queries, 330).candidates)
    whole = search(segment_of(signatures, np.arange(400), plan), queries, 330)
    assert sorted(found) == rows(whole.candidates)


def test_equal_pictures_all_find_each_other(make_segment):
    signatures = np.full((300, 128), 200, np.uint8)
    segment = decode_segment(*make_segment(signatures))
    found = search(segment, signatures[:4], 0)
    assert len(found.candidates.query) == 4 * 300
    assert set(found.candidates.overlap.tolist()) == {80}
    assert found.work.counted == found.work.compared == 4 * 300 * 80


def test_a_long_list_costs_no_more_than_its_bound():
    """100,000 pins that share all terms: bits that are constant, and two thirds of them random."""
    rng = np.random.default_rng(6)
    n, plan = 100_000, TermPlan(bands=4, term_bits=8, flips=1, tail_flips=32)
    signatures = rng.integers(0, 256, (n, 128), np.uint8)
    for band in plan.positions:
        for bit in band[:8]:
            signatures[:, bit // 8] &= np.uint8(0xFF ^ (128 >> (bit % 8)))
    segment = segment_of(signatures, np.arange(n), plan)
    queries = signatures[rng.integers(0, n, 50)]
    found = search(segment, queries, 100)
    assert found.work.entries <= 50 * 4 * LONG_LIST
    hits = rows(found.candidates)
    assert len({query for query, *_ in hits}) == 50, "each query finds itself, by more bits"


def test_copies_beyond_all_bits_still_answer():
    """More equal pins than a list may hold: the oldest answer, nothing else is read."""
    n = LONG_LIST + 1000
    signatures = np.full((n, 128), 77, np.uint8)
    segment = segment_of(signatures, np.arange(n), TermPlan(bands=2))
    found = search(segment, signatures[:3], 10)
    assert found.candidates.ordinal.tolist() == 3 * list(range(LONG_LIST))


def test_recall_over_the_distances_links_have(make_segment):
    """Planted neighbours: 11 % flips at the median, 21 % at the 90th percentile, 27 at the 99th."""
    rng = np.random.default_rng(4)
    n = 4096
    bits = rng.random((n, 1024)) < 0.5
    flips = np.interp(rng.random(n), [0, 0.5, 0.9, 0.99, 1], [0, 0.11, 0.21, 0.27, 0.30])
    queries = np.packbits(bits ^ (rng.random((n, 1024)) < flips[:, None]), axis=1)
    segment = decode_segment(*make_segment(np.packbits(bits, axis=1)))
    found = search(segment, queries, 1024).candidates
    assert (found.query == found.ordinal).sum() / n >= 0.99
