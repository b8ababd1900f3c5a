"""The nearest candidates of every query of a batch, whichever order they become known in.

A table of ``max_links`` places a query: however many copies a batch holds, it takes
``16 * max_links`` bytes a query and no more. What a full table turns away could not matter: the
decisions about a pin (``index.exemplars``) and its links look at the nearest ``max_links`` only.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from neardup.index.hamming import TILE, pairs_within, tile_distances, tiles_of, words
from neardup.index.intrinsics import popcount
from neardup.index.search import Candidates
from neardup.index.terms import TAIL_BITS, TermPlan
from neardup.streaming.candidates import Ended, Memtable, nearest, place

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Signatures = npt.NDArray[np.uint8]

QUERIES_AT_ONCE = 128

_FAR = np.iinfo(np.int32).max
_TAIL = np.uint64((1 << TAIL_BITS) - 1)


class Rule(NamedTuple):
    """What makes a pair a candidate (see ``index.terms``), and how many of them a pin keeps."""

    plan: TermPlan
    radius: int
    max_links: int


class Nearest:
    """The candidates of queries uint8 [q, 128] that are nearest by (hamming, ordinal)."""

    def __init__(self, queries: Signatures, rule: Rule) -> None:
        self._rule = rule
        self._limits = (rule.plan.flips, rule.plan.tail_flips, rule.plan.min_overlap)
        self._signatures, self._queries = queries, words(queries)
        self._tiles = tiles_of(self._queries)
        self._band_words = self._words_of(queries)
        shape = (len(queries), rule.max_links)
        self._hamming = np.full(shape, _FAR, np.int32)
        self._ordinals = np.full(shape, -1, np.int64)
        self._overlap = np.zeros(shape, np.int32)

    def load(self, found: Candidates) -> None:
        """The candidates that are known at first, in place of what was here."""
        query, ordinal, overlap, hamming = nearest(found, self._rule.max_links)
        place = query, np.arange(len(query)) - np.searchsorted(query, query)
        self._hamming[:] = _FAR
        self._hamming[place], self._ordinals[place] = hamming, ordinal
        self._overlap[place] = overlap

    def scan(self, memtable: Memtable, ended: Ended) -> None:
        """Offer all pins of a memtable to all queries that arrive before they end.

        A slice of the queries at a time: a crowd costs memory for that many times the memtable.
        """
        ends = np.full(len(memtable.ordinals), len(self._queries), np.int32)
        where = place(memtable.ordinals, ended.during)
        ends[where[where >= 0]] = ended.at[where >= 0]
        for begin in range(0, len(self._queries), QUERIES_AT_ONCE):
            some = self._signatures[begin : begin + QUERIES_AT_ONCE]
            query, row, hamming = pairs_within(some, memtable.signatures, self._rule.radius)
            met = np.zeros(len(ends), np.bool_)
            met[row] = True
            _offer_pairs(
                (query + np.int32(begin), np.cumsum(met)[row] - 1, hamming),
                (memtable.ordinals[met], ends[met], self._words_of(memtable.signatures[met])),
                self._band_words,
                self._limits,
                (self._hamming, self._ordinals, self._overlap),
            )

    def offer(self, ordinal: int, signature: Signatures, first: int, end: int) -> None:
        """A pin, uint8 [1, 128], that queries ``first`` to ``end - 1`` may find.

        It takes its place where it matches the query and is near enough; no query is offered a pin
        that it has already.
        """
        self._offer((ordinal, words(signature)[0], self._words_of(signature)[0]), first, end)

    def offer_query(self, query: int, ordinal: int, first: int, end: int) -> None:
        """As ``offer``, of the pin that is itself a query."""
        self._offer((ordinal, self._queries[query], self._band_words[query]), first, end)

    def _offer(self, pin: tuple[int, Any, Any], first: int, end: int) -> None:
        queries = (self._tiles, self._band_words)
        table = (self._hamming, self._ordinals, self._overlap)
        _offer(pin, (first, end), queries, (*self._limits, self._rule.radius), table)

    def _words_of(self, signatures: Signatures) -> npt.NDArray[np.uint64]:
        """Band words by row, uint64 [n, bands]."""
        return np.ascontiguousarray(self._rule.plan.words(signatures).T)

    def of(self, query: int) -> tuple[Int32, Int64]:
        """Hamming distances int32 [c] and ordinals int64 [c] of a query's candidates, ascending."""
        known = int(np.searchsorted(self._hamming[query], _FAR))
        return self._hamming[query, :known], self._ordinals[query, :known]

    def candidates(self) -> Candidates:
        """All that are in the table, by (query, hamming, ordinal)."""
        query, place = np.nonzero(self._hamming < _FAR)
        at = query, place
        ordinal, overlap, hamming = self._ordinals[at], self._overlap[at], self._hamming[at]
        return Candidates(query.astype(np.int32), ordinal, overlap, hamming)


def in_memtable(queries: Signatures, ended: Ended, memtable: Memtable, rule: Rule) -> Candidates:
    """The nearest ``max_links`` candidates of each query among pins of the memtable.

    Only pairs that match in as many bands as in a segment count: so what is found does not depend
    on when the memtable was flushed.
    """
    near = Nearest(queries, rule)
    near.scan(memtable, ended)
    return near.candidates()


@numba.njit(cache=True, nogil=True)
def _offer(pin, span, queries, limits, table):  # type: ignore[no-untyped-def]
    """One pin to a range of queries."""
    flips, tail_flips, min_overlap, radius = limits
    (ordinal, signature, band_words), (tiles, query_words) = pin, queries
    hamming = np.empty(TILE, np.uint16)
    for t in range(span[0] // TILE, -(-span[1] // TILE)):
        if not tile_distances(signature, tiles[t], np.uint64(radius), hamming):
            continue
        for i in range(max(span[0], t * TILE), min(span[1], (t + 1) * TILE)):
            bits = np.int32(hamming[i - t * TILE])
            if bits <= radius and _has_room(table, i, bits, ordinal):
                shared = _shared(query_words[i], band_words, flips, tail_flips)
                if shared >= min_overlap:
                    _insert(table, i, bits, ordinal, shared)


@numba.njit(cache=True, nogil=True)
def _offer_pairs(pairs, pins, query_words, limits, table):  # type: ignore[no-untyped-def]
    """Pairs of a query and a pin, if the pin has not ended when the query arrives."""
    flips, tail_flips, min_overlap = limits
    (query, row, hamming), (ordinals, ends, band_words) = pairs, pins
    for at in range(len(query)):
        i, j, bits = query[at], row[at], hamming[at]
        if i < ends[j] and _has_room(table, i, bits, ordinals[j]):
            shared = _shared(query_words[i], band_words[j], flips, tail_flips)
            if shared >= min_overlap:
                _insert(table, i, bits, ordinals[j], shared)


@numba.njit(cache=True, nogil=True, inline="always")
def _has_room(table, i, bits, ordinal):  # type: ignore[no-untyped-def]
    hamming, ordinals, _ = table
    last = hamming.shape[1] - 1
    return _before(bits, ordinal, hamming[i, last], ordinals[i, last])


@numba.njit(cache=True, nogil=True, inline="always")
def _insert(table, i, bits, ordinal, shared):  # type: ignore[no-untyped-def]
    hamming, ordinals, overlap = table
    at = hamming.shape[1] - 1
    while at > 0 and _before(bits, ordinal, hamming[i, at - 1], ordinals[i, at - 1]):
        hamming[i, at], ordinals[i, at] = hamming[i, at - 1], ordinals[i, at - 1]
        overlap[i, at] = overlap[i, at - 1]
        at -= 1
    hamming[i, at], ordinals[i, at], overlap[i, at] = bits, ordinal, shared


@numba.njit(cache=True, nogil=True, inline="always")
def _before(bits, pin, other_bits, other_pin):  # type: ignore[no-untyped-def]
    return bits < other_bits or (bits == other_bits and pin < other_pin)


@numba.njit(cache=True, nogil=True, inline="always")
def _shared(left, right, flips, tail_flips):  # type: ignore[no-untyped-def]
    """Bands in which two rows of band words match."""
    count = 0
    for band in range(len(left)):
        differing = left[band] ^ right[band]
        term = popcount(differing >> np.uint64(TAIL_BITS))
        count += (term <= flips) & (popcount(differing & _TAIL) <= tail_flips)
    return count
