"""Which entries of a segment match queries: one band after the other, all queries in each.

A query's lists in a band are those of its term and, with ``flips``, of all terms one bit away. A
band of 262,144 pins is 2 MB: it is read into the core's cache once for all queries. The lists of a
few queries are looked up and their first entries asked for, before any of them is read; then eight
entries, a cache line, are compared at once. Neither step has branches to mispredict, but for lists
of more than eight.

Work is bounded whatever a list holds: of one longer than ``LONG_LIST`` only the entries are read
that agree with the query in its next bits too, in as many as make them few enough. Such a list is
of one picture many times over, which exemplars keep out of the index, or of bits that are constant.
"""

import numba
import numpy as np

from neardup.index.hamming import grown
from neardup.index.intrinsics import popcount, prefetch
from neardup.index.lanes import LANES, append_matching
from neardup.index.postings import LONG_LIST, PIN_BITS
from neardup.index.terms import TAIL_BITS

_EVERY = 8

_QUERIES = 8
"""Whose lists are asked for at once: 136 with 16 flips, of two cache lines each, half of L1."""

_TAIL = np.uint64((1 << TAIL_BITS) - 1)
_BELOW_REST = np.uint64(PIN_BITS + TAIL_BITS)
_BELOW_TAIL = np.uint64(PIN_BITS)


@numba.njit(cache=True, nogil=True)
def fitting(query_words, shift, probes, offsets, most):  # type: ignore[no-untyped-def]
    """How many of the first queries read about ``most`` entries or fewer, at least one.

    By every eighth band, which are as good as all: to look up all lists for that alone took a tenth
    of a search.
    """
    bands, queries = query_words.shape
    sizes = np.zeros(queries, np.int64)
    for band in range(0, bands, _EVERY):
        for i in range(queries):
            own = np.int64(query_words[band, i] >> shift)
            for probe in range(probes):
                place = own ^ ((1 << probe) >> 1)
                length = np.int64(offsets[band, place + 1]) - np.int64(offsets[band, place])
                sizes[i] += min(length, LONG_LIST)
    total = count = 0
    while count < queries and (_EVERY * (total + sizes[count]) <= most or not count):
        total += sizes[count]
        count += 1
    return count


@numba.njit(cache=True, nogil=True)
def match(query_words, directory, probes, offsets, entries, limits):  # type: ignore[no-untyped-def]
    """The pins of all entries that match, band by band and in each query by query; where those of
    a query end in a band; how many entries were read.

    ``query_words`` uint64 [L, q] as of ``TermPlan.words``; ``directory``: by how much to shift a
    word to its list's place, and the mask of the bits that entries repeat; ``limits``: flips and
    tail flips. ``offsets`` and ``entries`` as of a segment.
    """
    shift, repeated = directory
    bands, queries = query_words.shape
    flat, everything = offsets.reshape(-1), entries.reshape(-1)
    lists = np.empty((_QUERIES * probes, 2), np.int64)
    matched = np.empty(2**22, np.uint32)  # memory only where it is written
    ends = np.empty((bands, queries), np.int64)
    size = n_entries = 0
    for band in range(bands):
        own_words = query_words[band]
        place = band * offsets.shape[1], band * entries.shape[1]
        for first in range(0, queries, _QUERIES):
            some = own_words[first : first + _QUERIES]
            read = _look_up(some, shift, repeated, probes, place, flat, everything, lists)
            n_entries += read
            while size + read + LANES > len(matched):
                matched = grown(matched)
            for i in range(len(some)):
                pattern = (some[i] & repeated) << _BELOW_TAIL
                for probe in range(probes):
                    begin, end = lists[i * probes + probe]
                    left = limits[0] - (probe > 0)
                    size = _append(everything, begin, end, pattern, limits[1], left, matched, size)
                ends[band, first + i] = size
    return matched, ends, n_entries


@numba.njit(cache=True, nogil=True, inline="always")
def _look_up(some, shift, repeated, probes, place, offsets, entries, lists):  # type: ignore[no-untyped-def]
    """Begin and end of each list of some queries in a band, asking for its first entries; how many
    entries there are."""
    first_offset, first_entry = place
    at = read = longest = 0
    for i in range(len(some)):
        own = np.int64(some[i] >> shift)
        for probe in range(probes):
            offset = first_offset + (own ^ ((1 << probe) >> 1))
            begin = first_entry + np.int64(offsets[offset])
            end = first_entry + np.int64(offsets[offset + 1])
            prefetch(entries, begin)
            prefetch(entries, end)
            lists[at, 0], lists[at, 1] = begin, end
            read += end - begin
            longest = max(longest, end - begin)
            at += 1
    if longest > LONG_LIST:
        for at in range(len(some) * probes):
            begin, end = lists[at]
            pattern = (some[at // probes] & repeated) << _BELOW_TAIL
            lists[at] = _split(entries, begin, end, pattern)
            read += lists[at, 1] - lists[at, 0] - (end - begin)
    return read


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
def _append(entries, begin, end, pattern, tail_flips, left, matched, size):  # type: ignore[no-untyped-def]
    """Append the pins of a list's entries that match: at most ``tail_flips`` bits of the tail
    differ, and ``left`` of the rest of the term. How many pins there are then."""
    for at in range(begin, end, LANES):
        if at + LANES <= len(entries):
            size += append_matching(entries, at, end - at, pattern, tail_flips, left, matched, size)
            continue
        for last in range(at, end):  # no eight to read
            differing = entries[last] ^ pattern
            matched[size] = entries[last] & np.uint64((1 << PIN_BITS) - 1)
            size += (popcount((differing >> _BELOW_TAIL) & _TAIL) <= np.uint64(tail_flips)) & (
                popcount(differing >> _BELOW_REST) <= np.uint64(left)
            )
    return size
