"""Search of one segment: probes, entries, overlap counts, Hamming distance.

The entries that match are noted band by band (``index.matching``), and afterwards counted query by
query in an array with a counter per pin; the pins counted are listed on the way, so that only they
are looked at and reset. A distance waits for two cache lines at a random place: they are asked for
ahead of their use.
"""

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from neardup.index.hamming import WORDS, grown, words
from neardup.index.intrinsics import popcount, prefetch
from neardup.index.matching import fitting, match
from neardup.index.postings import rest_and_tail
from neardup.index.segment import Segment
from neardup.index.terms import TAIL_BITS

Signatures = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]

# distances in flight: 16 * 2 lines cover a wait of about 100 ns and fit the core's line buffers
_AHEAD = 16

MOST_ENTRIES = 2**25
"""Entries read at once, about: what matches of them is in memory, 4 bytes each."""


class Candidates(NamedTuple):
    """Pairs of a query (row number) and an older pin: arrays of one length, by (query, ordinal).

    ``query`` int32, ``ordinal`` int64, ``overlap`` int32 (bands matched), ``hamming`` int32 (bits).
    """

    query: Int32
    ordinal: npt.NDArray[np.int64]
    overlap: Int32
    hamming: Int32


class Work(NamedTuple):
    """What a search cost: lists probed, entries read, pins counted, and distances taken."""

    probes: int
    entries: int
    counted: int
    compared: int


class Found(NamedTuple):
    """``queries``: how many of them were searched."""

    candidates: Candidates
    work: Work
    queries: int


def search(
    segment: Segment,
    queries: Signatures,
    radius: int,
    query_words: npt.NDArray[np.uint64] | None = None,
) -> Found:
    """Pins that match a query in ``plan.min_overlap`` bands and are at most ``radius`` bits away.

    ``queries`` uint8 [q, 128]; ``query_words`` uint64 [L, q] are their band words, if the caller
    has them already. Exact in both conditions, but for lists longer than LONG_LIST.
    """
    if query_words is None:
        query_words = segment.plan.words(queries)
    begin = 0
    parts: list[Found] = []
    while begin < len(queries) or not parts:
        found = search_some(segment, queries[begin:], radius, query_words[:, begin:])
        own = found.candidates
        parts.append(found._replace(candidates=own._replace(query=own.query + np.int32(begin))))
        begin += found.queries
    columns = zip(*(part.candidates for part in parts), strict=True)
    work = zip(*(part.work for part in parts), strict=True)
    candidates = Candidates(*(np.concatenate(column) for column in columns))
    return Found(candidates, Work(*map(sum, work)), begin)


def search_some(
    segment: Segment,
    queries: Signatures,
    radius: int,
    query_words: npt.NDArray[np.uint64] | None = None,
) -> Found:
    """As ``search``, of as many of the first queries as MOST_ENTRIES allows, at least one."""
    plan, d = segment.plan, segment.directory_bits
    if query_words is None:
        query_words = plan.words(queries)
    shift = np.uint64(TAIL_BITS + plan.term_bits - d)
    offsets = _frozen(segment.offsets)
    probes = 1 + (d if plan.flips else 0)
    whole = _frozen(np.ascontiguousarray(query_words))
    count = fitting(whole, shift, probes, offsets, MOST_ENTRIES)
    query, pin, shared, hamming, *work = _search(
        _frozen(np.ascontiguousarray(whole[:, :count])),
        (shift, np.uint64(rest_and_tail(plan.term_bits, d))),
        (plan.flips, plan.tail_flips, plan.min_overlap, radius),
        probes,
        offsets,
        _frozen(segment.entries),
        words(queries[:count]),
        words(segment.signatures),
    )
    order = np.lexsort((pin, query))
    candidates = Candidates(
        query[order], segment.ordinals[pin[order]], shared[order], hamming[order]
    )
    return Found(candidates, Work(*(int(number) for number in work)), count)


def _frozen(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """A read-only view: memory-mapped and ordinary arrays meet the same compiled kernel."""
    view = array.view()
    view.setflags(write=False)
    return view


@numba.njit(cache=True, nogil=True)
def _search(query_words, directory, limits, probes, offsets, entries, queries, signatures):  # type: ignore[no-untyped-def]
    flips, tail_flips, min_overlap, radius = limits
    n, bands = len(signatures), len(offsets)
    matched, ends, n_entries = match(
        query_words, directory, probes, offsets, entries, (flips, tail_flips)
    )
    counts = np.zeros(n, np.uint16)
    # one more than pins: writing comes before knowing whether the pin is new
    listed = np.empty(n + 1, np.uint32)
    overlaps = np.empty(n + 1, np.uint16)
    query, pins = np.empty(1024, np.int32), np.empty(1024, np.uint32)
    shared, bits = np.empty(1024, np.int32), np.empty(1024, np.int32)
    size = n_counted = n_compared = 0
    query_bits, flat = queries.reshape(-1), signatures.reshape(-1)
    for i in range(len(queries)):
        counted = _count(matched, ends, i, counts, listed)
        kept = _keep(counted, min_overlap, counts, listed, overlaps)
        n_counted += counted
        n_compared += kept
        while size + kept > len(query):
            query, pins, shared, bits = grown(query), grown(pins), grown(shared), grown(bits)
        for at in range(kept):
            if at + _AHEAD < kept:
                ahead = np.int64(listed[at + _AHEAD]) * WORDS
                prefetch(flat, ahead)
                prefetch(flat, ahead + WORDS // 2)
            distance = _distance(query_bits, i * WORDS, flat, np.int64(listed[at]) * WORDS)
            if distance <= radius:
                query[size], pins[size] = i, listed[at]
                shared[size], bits[size] = overlaps[at], distance
                size += 1
    found = query[:size], pins[:size], shared[:size], bits[:size]
    return (*found, len(queries) * bands * probes, n_entries, n_counted, n_compared)


@numba.njit(cache=True, nogil=True, inline="always")
def _distance(left, i, right, j):  # type: ignore[no-untyped-def]
    """Differing bits of the rows at ``i`` and ``j``, without making views of them."""
    total = np.uint64(0)
    for w in range(WORDS):
        total += popcount(left[i + w] ^ right[j + w])
    return total


@numba.njit(cache=True, nogil=True)
def _count(matched, ends, i, counts, listed):  # type: ignore[no-untyped-def]
    """Count each pin that a query matches, and list it once; how many pins there are."""
    flat, queries = ends.reshape(-1), ends.shape[1]
    counted = 0
    for at in range(i, len(flat), queries):
        for j in range(flat[at - 1] if at else 0, flat[at]):
            pin = matched[j]
            listed[counted] = pin
            counted += counts[pin] == 0
            counts[pin] += 1
    return counted


@numba.njit(cache=True, nogil=True)
def _keep(counted, min_overlap, counts, listed, overlaps):  # type: ignore[no-untyped-def]
    """Move pins with enough overlap to the front and reset all counters; how many are kept."""
    kept = 0
    for at in range(counted):
        pin = listed[at]
        count = counts[pin]
        counts[pin] = 0
        listed[kept], overlaps[kept] = pin, count
        kept += count >= min_overlap
    return kept
