"""Search of one segment: probes, entries, overlap counts, Hamming distance.

For each query the lists of its term in every band are read, and with ``flips`` those of all terms
one bit away. That goes band by band, all queries in each: a band of 262,144 pins is 2 MB, stays in
the processor's cache, and 2,000 queries take half the time that they take one by one. Entries that
match are noted, and afterwards counted query by query in an array with a counter per pin; the pins
counted are listed on the way, so that only they are looked at and reset.

What is left is waiting for memory: a cache line of the offsets and one or two of entries a probe,
and two lines a distance, at random places. They are asked for ahead of their use.

Work is bounded whatever a list holds: of one longer than ``LONG_LIST`` only the entries are read
that agree with the query in its next bits too, in as many as make them few enough. Such a list is
of one picture many times over, which exemplars keep out of the index, or of bits that are constant.
"""

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from neardup.index.hamming import WORDS, grown, words
from neardup.index.intrinsics import popcount, prefetch
from neardup.index.postings import LONG_LIST, PIN_BITS, rest_and_tail
from neardup.index.segment import Segment
from neardup.index.terms import TAIL_BITS

Signatures = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]

# distances in flight: 16 * 2 lines cover a wait of about 100 ns and fit the core's line buffers
_AHEAD = 16

# cache lines of a list asked for at once, of 8 entries each: most lists have no more
_LINES = 4

MOST_ENTRIES = 2**24
"""Entries read at once: what matches of them is in memory, 4 bytes each."""

_PIN = np.uint64((1 << PIN_BITS) - 1)
_TAIL = np.uint64((1 << TAIL_BITS) - 1)
_BELOW_REST = np.uint64(PIN_BITS + TAIL_BITS)
_BELOW_TAIL = np.uint64(PIN_BITS)


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
    fitting = _fitting(whole, shift, probes, offsets, MOST_ENTRIES)
    query, pin, shared, hamming, *work = _search(
        _frozen(np.ascontiguousarray(whole[:, :fitting])),
        (shift, np.uint64(rest_and_tail(plan.term_bits, d))),
        (plan.flips, plan.tail_flips, plan.min_overlap, radius),
        probes,
        offsets,
        _frozen(segment.entries),
        words(queries[:fitting]),
        words(segment.signatures),
    )
    order = np.lexsort((pin, query))
    candidates = Candidates(
        query[order], segment.ordinals[pin[order]], shared[order], hamming[order]
    )
    return Found(candidates, Work(*(int(number) for number in work)), fitting)


def _frozen(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """A read-only view: memory-mapped and ordinary arrays meet the same compiled kernel."""
    view = array.view()
    view.setflags(write=False)
    return view


@numba.njit(cache=True, nogil=True)
def _fitting(query_words, shift, probes, offsets, most):  # type: ignore[no-untyped-def]
    """How many of the first queries read no more than so many entries; at least one."""
    bands, queries = query_words.shape
    sizes = np.zeros(queries, np.int64)
    for band in range(bands):
        for i in range(queries):
            own = np.int64(query_words[band, i] >> shift)
            for probe in range(probes):
                place = own ^ (1 << (probe - 1)) if probe else own
                length = np.int64(offsets[band, place + 1]) - np.int64(offsets[band, place])
                sizes[i] += min(length, LONG_LIST)
    total = fitting = 0
    while fitting < queries and (total + sizes[fitting] <= most or not fitting):
        total += sizes[fitting]
        fitting += 1
    return fitting


@numba.njit(cache=True, nogil=True)
def _search(query_words, directory, limits, probes, offsets, entries, queries, signatures):  # type: ignore[no-untyped-def]
    flips, tail_flips, min_overlap, radius = limits
    n, bands = len(signatures), len(offsets)
    matched, ends, n_entries = _match(
        query_words, directory, probes, offsets, entries, flips, tail_flips
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


@numba.njit(cache=True, nogil=True)
def _match(query_words, directory, probes, offsets, entries, flips, tail_flips):  # type: ignore[no-untyped-def]
    """The pins of all entries that match, band by band and in each query by query; where those of
    a query end in a band; how many entries were read.

    While a query's lists are read, those of the next are asked for, and the offsets of the one
    after that.
    """
    shift, repeated = directory
    bands, queries = query_words.shape
    flat, everything = offsets.reshape(-1), entries.reshape(-1)
    width, depth = offsets.shape[1], entries.shape[1]
    lists = np.empty((2, probes, 2), np.int64)
    matched = np.empty(1024, np.uint32)
    ends = np.empty((bands, queries), np.int64)
    size = n_entries = 0
    for step in range(bands * queries + 2):
        if step < bands * queries:
            band, i = step // queries, step % queries
            own = np.int64(query_words[band, i] >> shift)
            for probe in range(probes):
                prefetch(flat, band * width + (own ^ (1 << (probe - 1)) if probe else own))
        if 1 <= step < bands * queries + 1:
            band, i = (step - 1) // queries, (step - 1) % queries
            word = query_words[band, i]
            pattern = (word & repeated) << _BELOW_TAIL
            _bound(
                lists[(step - 1) % 2],
                (band * width, np.int64(word >> shift), band * depth, pattern),
                flat,
                everything,
            )
        if step >= 2:
            band, i = (step - 2) // queries, (step - 2) % queries
            pattern = (query_words[band, i] & repeated) << _BELOW_TAIL
            own_lists = lists[step % 2]
            read = (own_lists[:, 1] - own_lists[:, 0]).sum()
            n_entries += read
            while size + read + 1 > len(matched):
                matched = grown(matched)
            size = _filter(own_lists, pattern, everything, flips, tail_flips, matched, size)
            ends[band, i] = size
    return matched, ends, n_entries


@numba.njit(cache=True, nogil=True, inline="always")
def _distance(left, i, right, j):  # type: ignore[no-untyped-def]
    """Differing bits of the rows at ``i`` and ``j``, without making views of them."""
    total = np.uint64(0)
    for w in range(WORDS):
        total += popcount(left[i + w] ^ right[j + w])
    return total


@numba.njit(cache=True, nogil=True, inline="always")
def _bound(lists, place, offsets, entries):  # type: ignore[no-untyped-def]
    """Begin and end of each list of a query in a band, asking for its first entries."""
    first_offset, own, first_entry, pattern = place
    for probe in range(len(lists)):
        at = first_offset + (own ^ (1 << (probe - 1)) if probe else own)
        begin, end = first_entry + np.int64(offsets[at]), first_entry + np.int64(offsets[at + 1])
        for line in range(begin, min(end, begin + _LINES * 8), 8):
            prefetch(entries, line)
        if end - begin > LONG_LIST:
            begin, end = _split(entries, begin, end, pattern)
        lists[probe, 0], lists[probe, 1] = begin, end


@numba.njit(cache=True, nogil=True)
def _split(entries, begin, end, pattern):  # type: ignore[no-untyped-def]
    """The entries of a long, sorted list that agree with the pattern in as many bits as it takes.

    If all bits agree and they are still too many, they are copies of one another: the oldest.
    """
    bit = np.uint64(1) << np.uint64(63)
    lowest = np.uint64(1) << _BELOW_TAIL
    while end - begin > LONG_LIST and bit >= lowest:
        middle, after = begin, end
        while middle < after:
            half = (middle + after) // 2
            if entries[half] & bit:
                after = half
            else:
                middle = half + 1
        if pattern & bit:
            begin = middle
        else:
            end = middle
        bit >>= np.uint64(1)
    return begin, min(end, begin + LONG_LIST)


@numba.njit(cache=True, nogil=True, inline="always")
def _filter(lists, pattern, entries, flips, tail_flips, matched, size):  # type: ignore[no-untyped-def]
    """Append the pins of the entries that match; how many there are then."""
    for probe in range(len(lists)):
        left = np.uint64(flips - (probe > 0))
        for j in range(lists[probe, 0], lists[probe, 1]):
            entry = entries[j]
            differing = entry ^ pattern
            matched[size] = entry & _PIN
            size += (popcount((differing >> _BELOW_TAIL) & _TAIL) <= tail_flips) & (
                popcount(differing >> _BELOW_REST) <= left
            )
    return size


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
