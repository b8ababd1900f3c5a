"""The nearest candidates of every query of a batch, whichever order they become known in.

A table of ``max_links`` places a query: however many copies a batch holds, it takes
``16 * max_links`` bytes a query and no more. What a full table turns away could not matter: the
decisions about a pin (``index.exemplars``) and its links look at the nearest ``max_links`` only.
"""

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from neardup.index.hamming import pairs_within, row_distance, words
from neardup.index.intrinsics import popcount
from neardup.index.search import Candidates
from neardup.index.terms import TAIL_BITS, TermPlan, matches
from neardup.streaming.candidates import (
    NO_CANDIDATES,
    QUERIES_AT_ONCE,
    Ended,
    Memtable,
    joined,
    nearest,
    take,
)

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Signatures = npt.NDArray[np.uint8]

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
        self._queries = words(queries)
        self._band_words = np.ascontiguousarray(rule.plan.words(queries).T)
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

    def offer(self, ordinal: int, signature: Signatures, first: int, end: int) -> None:
        """A pin, uint8 [1, 128], that queries ``first`` to ``end - 1`` may find.

        It takes its place where it matches the query and is near enough; no query is offered a pin
        that it has already.
        """
        plan = self._rule.plan
        _offer(
            ordinal,
            words(signature)[0],
            plan.words(signature)[:, 0],
            (first, end),
            self._queries,
            self._band_words,
            (plan.flips, plan.tail_flips, plan.min_overlap, self._rule.radius),
            (self._hamming, self._ordinals, self._overlap),
        )

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
    on when the memtable was flushed. A slice of the queries at a time, as in ``gather``.
    """
    parts = [NO_CANDIDATES]
    for begin in range(0, len(queries), QUERIES_AT_ONCE):
        some = queries[begin : begin + QUERIES_AT_ONCE]
        query, row, hamming = pairs_within(some, memtable.signatures, rule.radius)
        ordinals = memtable.ordinals[row]
        found = Candidates(query + np.int32(begin), ordinals, np.zeros_like(query), hamming)
        parts.append(_nearest_matching(take(found, ended.mask(found)), queries, memtable, rule))
    return joined(parts)


def _nearest_matching(
    near: Candidates, queries: Signatures, memtable: Memtable, rule: Rule
) -> Candidates:
    """Those of ``near`` that match, the nearest ``max_links`` of each query.

    Bands are compared for the nearest few first, and for more only where those were not enough.
    """
    rest, at_once = nearest(near, len(near.query)), rule.max_links
    kept = NO_CANDIDATES
    while len(rest.query):
        ranks = np.arange(len(rest.query)) - np.searchsorted(rest.query, rest.query)
        some = take(rest, ranks < at_once)
        older = memtable.signatures[np.searchsorted(memtable.ordinals, some.ordinal)]
        some = some._replace(overlap=matches(rule.plan, queries[some.query], older))
        kept = joined([kept, take(some, some.overlap >= rule.plan.min_overlap)])
        enough = np.bincount(kept.query, minlength=len(queries)) >= rule.max_links
        rest = take(rest, (ranks >= at_once) & ~enough[rest.query])
        at_once *= 2
    return nearest(kept, rule.max_links)


@numba.njit(cache=True, nogil=True)
def _offer(pin, signature, band_words, span, queries, query_words, limits, table):  # type: ignore[no-untyped-def]
    flips, tail_flips, min_overlap, radius = limits
    hamming, ordinals, overlap = table
    last = hamming.shape[1] - 1
    for i in range(span[0], span[1]):
        bits = np.int32(row_distance(queries[i], signature))
        if bits > radius or not _before(bits, pin, hamming[i, last], ordinals[i, last]):
            continue
        shared = _shared(query_words[i], band_words, flips, tail_flips)
        if shared < min_overlap:
            continue
        at = last
        while at > 0 and _before(bits, pin, hamming[i, at - 1], ordinals[i, at - 1]):
            hamming[i, at], ordinals[i, at] = hamming[i, at - 1], ordinals[i, at - 1]
            overlap[i, at] = overlap[i, at - 1]
            at -= 1
        hamming[i, at], ordinals[i, at], overlap[i, at] = bits, pin, shared


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
