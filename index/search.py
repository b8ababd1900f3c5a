"""Search of one segment: probes, entries, overlap counts, Hamming distance.

For each query the lists of its term in every band are read, and with ``flips`` those of all terms
one bit away. Entries that match are counted in an array with a counter per pin; the pins counted
are listed on the way, so that only they are looked at and reset. Counters and lists are reused:
nothing is allocated per query.

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
    candidates: Candidates
    work: Work


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
    plan, d = segment.plan, segment.directory_bits
    if query_words is None:
        query_words = plan.words(queries)
    shift = np.uint64(TAIL_BITS + plan.term_bits - d)
    query, pin, shared, hamming, *work = _search(
        _frozen(query_words),
        (shift, np.uint64(rest_and_tail(plan.term_bits, d))),
        (plan.flips, plan.tail_flips, plan.min_overlap, radius),
        _frozen(segment.offsets),
        _frozen(segment.entries),
        words(queries),
        words(segment.signatures),
    )
    order = np.lexsort((pin, query))
    candidates = Candidates(
        query[order], segment.ordinals[pin[order]], shared[order], hamming[order]
    )
    return Found(candidates, Work(*(int(number) for number in work)))


def _frozen(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """A read-only view: memory-mapped and ordinary arrays meet the same compiled kernel."""
    view = array.view()
    view.setflags(write=False)
    return view


@numba.njit(cache=True, nogil=True)
def _search(query_words, directory, limits, offsets, entries, queries, signatures):  # type: ignore[no-untyped-def]
    flips, tail_flips, min_overlap, radius = limits
    n, bands = len(signatures), len(offsets)
    probes = 1 + (_bits_of(offsets.shape[1]) if flips else 0)
    lists = np.empty((bands * probes, 2), np.int64)
    patterns = np.empty(bands, np.uint64)
    counts = np.zeros(n, np.uint16)
    # one more than pins: writing comes before knowing whether the pin is new
    listed = np.empty(n + 1, np.uint32)
    overlaps = np.empty(n + 1, np.uint16)
    query, pins = np.empty(1024, np.int32), np.empty(1024, np.uint32)
    shared, bits = np.empty(1024, np.int32), np.empty(1024, np.int32)
    size = n_entries = n_counted = n_compared = 0
    query_bits, flat = queries.reshape(-1), signatures.reshape(-1)
    for i in range(len(queries)):
        _probe(query_words[:, i], directory, probes, offsets, lists, patterns)
        n_entries += _bound(lists, probes, offsets, entries, patterns)
        counted = _count(lists, probes, patterns, entries, flips, tail_flips, counts, listed)
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


@numba.njit(cache=True, nogil=True, inline="always")
def _bits_of(n_offsets):  # type: ignore[no-untyped-def]
    """d, from the 2^d + 1 offsets of a band."""
    d = 0
    while (1 << d) + 1 < n_offsets:
        d += 1
    return d


@numba.njit(cache=True, nogil=True)
def _probe(query_words, directory, probes, offsets, lists, patterns):  # type: ignore[no-untyped-def]
    """The places in the offsets of all lists to read, asking for each; the bits to compare with."""
    shift, repeated = directory
    flat, width = offsets.reshape(-1), offsets.shape[1]
    at = 0
    for band in range(len(query_words)):
        word = query_words[band]
        patterns[band] = (word & repeated) << _BELOW_TAIL
        own = np.int64(word >> shift)
        for probe in range(probes):
            place = band * width + (own ^ (1 << (probe - 1)) if probe else own)
            prefetch(flat, place)
            lists[at, 0] = place
            at += 1


@numba.njit(cache=True, nogil=True)
def _bound(lists, probes, offsets, entries, patterns):  # type: ignore[no-untyped-def]
    """Begin and end of each list within all entries, asking for its first; how many there are."""
    flat, everything = offsets.reshape(-1), entries.reshape(-1)
    total = np.int64(0)
    for at in range(len(lists)):
        place, band = lists[at, 0], at // probes
        base = band * entries.shape[1]
        begin, end = base + np.int64(flat[place]), base + np.int64(flat[place + 1])
        for line in range(begin, min(end, begin + _LINES * 8), 8):
            prefetch(everything, line)
        if end - begin > LONG_LIST:
            begin, end = _split(everything, begin, end, patterns[band])
        lists[at, 0], lists[at, 1] = begin, end
        total += end - begin
    return total


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


@numba.njit(cache=True, nogil=True)
def _count(lists, probes, patterns, entries, flips, tail_flips, counts, listed):  # type: ignore[no-untyped-def]
    """Count each pin of the entries that match, and list it once; how many pins there are."""
    flat = entries.reshape(-1)
    matched = np.empty(LONG_LIST, np.uint32)
    counted = 0
    for at in range(len(lists)):
        pattern = patterns[at // probes]
        left = np.uint64(flips - (at % probes > 0))
        size = 0
        for j in range(lists[at, 0], lists[at, 1]):
            entry = flat[j]
            differing = entry ^ pattern
            matched[size] = entry & _PIN
            size += (popcount((differing >> _BELOW_TAIL) & _TAIL) <= tail_flips) & (
                popcount(differing >> _BELOW_REST) <= left
            )
        for j in range(size):
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
