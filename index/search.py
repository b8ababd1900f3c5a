"""Search of one segment: probes, entries, overlap counts, Hamming distance.

The entries that match are noted band by band (``index.matching``), as pairs of a query and a pin.
What comes next reads signatures at random places of a large file, which is what a search waits for:
so all pairs of some queries are first put in the order of their pins, roughly, and then a place of
a megabyte is read for all of them. A third of the time of query by query, in four million pins.

A pair that matches in several bands is there as often, which is its overlap: counted among the
pairs that are near, which are few, unless a plan asks for more than one band.
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
"""Entries read at once, about: what matches of them is in memory, 12 bytes each."""

_PLACE_BITS = np.uint64(13)
"""Pins that are looked at together: 8,192 signatures of 128 bytes fit a core's own cache."""

_BLOCK = 1024  # pairs compared with room for all of them to be near

_IN_PLACE = np.uint64((1 << int(_PLACE_BITS)) - 1)
_PIN = np.uint64(2**32 - 1)
_QUERY_BITS = np.uint64(32)


class Candidates(NamedTuple):
    """Pairs of a query (row number) and an older pin: arrays of one length, by (query, ordinal).

    ``query`` int32, ``ordinal`` int64, ``overlap`` int32 (bands matched), ``hamming`` int32 (bits).
    """

    query: Int32
    ordinal: npt.NDArray[np.int64]
    overlap: Int32
    hamming: Int32


class Work(NamedTuple):
    """What a search cost: lists probed, entries read, matches of a pin in a band counted, and
    distances taken."""

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
    pairs, distances, overlaps, *work = _search(
        _frozen(np.ascontiguousarray(whole[:, :count])),
        (shift, np.uint64(rest_and_tail(plan.term_bits, d))),
        (plan.flips, plan.tail_flips, plan.min_overlap, radius),
        probes,
        offsets,
        _frozen(segment.entries),
        words(queries[:count]),
        words(segment.signatures),
    )
    order = np.argsort(pairs)
    candidates = Candidates(
        (pairs[order] >> _QUERY_BITS).astype(np.int32),
        segment.ordinals[pairs[order] & _PIN],
        overlaps[order],
        distances[order],
    )
    return Found(candidates, Work(*(int(number) for number in work)), count)


def _frozen(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """A read-only view: memory-mapped and ordinary arrays meet the same compiled kernel."""
    view = array.view()
    view.setflags(write=False)
    return view


@numba.njit(cache=True, nogil=True)
def _search(query_words, directory, limits, probes, offsets, entries, queries, signatures):  # type: ignore[no-untyped-def]
    """Pairs in the radius, ``query << 32 | pin``, each once, with their distances and overlaps."""
    flips, tail_flips, min_overlap, radius = limits
    matched, ends, n_entries = match(
        query_words, directory, probes, offsets, entries, (flips, tail_flips)
    )
    pairs, places = _by_place(matched, ends, len(signatures))
    n_counted = n_compared = len(pairs)
    if min_overlap > 1:
        n_compared = _repeated(pairs, places, min_overlap)
    near = _near(pairs, places, queries, signatures, radius)
    return (*near, len(queries) * len(offsets) * probes, n_entries, n_counted, n_compared)


@numba.njit(cache=True, nogil=True)
def _by_place(matched, ends, n):  # type: ignore[no-untyped-def]
    """The pairs that match, uint64, by their pins' places and in each by query; where each place
    begins, and the last one ends."""
    queries, flat = ends.shape[1], ends.reshape(-1)
    total = flat[-1] if len(flat) else 0
    places = np.zeros((n >> _PLACE_BITS) + 2, np.int64)
    for pin in matched[:total]:
        places[(pin >> _PLACE_BITS) + 1] += 1
    for place in range(1, len(places)):
        places[place] += places[place - 1]
    free = places[:-1].copy()
    pairs = np.empty(total, np.uint64)
    for i in range(queries):
        query = np.uint64(i) << _QUERY_BITS
        for at in range(i, len(flat), queries):
            for j in range(flat[at - 1] if at else 0, flat[at]):
                place = matched[j] >> _PLACE_BITS
                pairs[free[place]] = query | matched[j]
                free[place] += 1
    return pairs, places


@numba.njit(cache=True, nogil=True)
def _repeated(pairs, places, least):  # type: ignore[no-untyped-def]
    """Keep the pairs that are there ``least`` times, at the front; how many, repeats included.
    ``places`` become those of what is kept."""
    counts = np.zeros(1 << _PLACE_BITS, np.uint32)
    begin = kept = 0
    for place in range(1, len(places)):
        while begin < places[place]:
            end = begin
            while end < places[place] and pairs[end] >> _QUERY_BITS == pairs[begin] >> _QUERY_BITS:
                counts[pairs[end] & _IN_PLACE] += 1
                end += 1
            own, begin = pairs[begin:end].copy(), end
            for pair in own:
                pairs[kept] = pair
                kept += counts[pair & _IN_PLACE] >= least
            for pair in own:
                counts[pair & _IN_PLACE] = 0
        places[place] = kept
    return kept


@numba.njit(cache=True, nogil=True)
def _near(pairs, places, queries, signatures, radius):  # type: ignore[no-untyped-def]
    """The pairs that are at most ``radius`` bits apart, each once; distances and overlaps int32."""
    near = np.empty(_BLOCK, np.uint64)
    distances, overlaps = np.empty(_BLOCK, np.int32), np.empty(_BLOCK, np.int32)
    known = np.full(1 << _PLACE_BITS, -1, np.int64)
    left, right = queries.reshape(-1), signatures.reshape(-1)
    size = 0
    for place in range(len(places) - 1):
        first = size
        for begin in range(places[place], places[place + 1], _BLOCK):
            if size + _BLOCK > len(near):
                near, distances, overlaps = grown(near), grown(distances), grown(overlaps)
            block = begin, min(begin + _BLOCK, places[place + 1])
            size = _compare(pairs, block, left, right, radius, near, distances, size)
        size = _distinct(near, distances, overlaps, known, first, size)
    return near[:size], distances[:size], overlaps[:size]


@numba.njit(cache=True, nogil=True)
def _compare(pairs, block, left, right, radius, near, distances, size):  # type: ignore[no-untyped-def]
    """Append the near ones of a block of pairs: how many there are then. No branches, and no array
    that may become another one, which would take twice the time."""
    for at in range(block[0], block[1]):
        ahead = np.int64(pairs[min(at + _AHEAD, len(pairs) - 1)] & _PIN) * WORDS
        prefetch(right, ahead)
        prefetch(right, ahead + WORDS // 2)
        pair = pairs[at]
        i, j = np.int64(pair >> _QUERY_BITS) * WORDS, np.int64(pair & _PIN) * WORDS
        distance = _distance(left, i, right, j)
        near[size], distances[size] = pair, distance
        size += distance <= np.uint64(radius)
    return size


@numba.njit(cache=True, nogil=True)
def _distinct(near, distances, overlaps, known, first, end):  # type: ignore[no-untyped-def]
    """Each pair of a place once, with how often it was there; where they end then. ``known``: where
    a pin of any place was written last, for whichever query."""
    size = begin = first
    for i in range(first, end):
        if near[i] >> _QUERY_BITS != near[max(i - 1, first)] >> _QUERY_BITS:
            begin = size
        pin = near[i] & _IN_PLACE
        if known[pin] < begin:
            known[pin] = size
            near[size], distances[size], overlaps[size] = near[i], distances[i], 0
            size += 1
        overlaps[known[pin]] += 1
    return size


@numba.njit(cache=True, nogil=True, inline="always")
def _distance(left, i, right, j):  # type: ignore[no-untyped-def]
    """Differing bits of the rows at ``i`` and ``j``, without making views of them."""
    total = np.uint64(0)
    for w in range(WORDS):
        total += popcount(left[i + w] ^ right[j + w])
    return total
