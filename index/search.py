"""Search of one segment: terms, overlap counts, Hamming distance.

For each query the postings of its term in every band are counted in an array with a counter per
pin; the pins touched are listed on the way, so that only they are looked at and reset. Counters and
list are reused: nothing is allocated per query.
"""

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from neardup.index.hamming import grown, row_distance, words
from neardup.index.segment import Segment
from neardup.index.terms import Bands, terms_of

Signatures = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]


class Candidates(NamedTuple):
    """Pairs of a query (row number) and an older pin: arrays of one length, by (query, ordinal).

    ``query`` int32, ``ordinal`` int64, ``overlap`` int32 (terms shared), ``hamming`` int32 (bits).
    """

    query: Int32
    ordinal: npt.NDArray[np.int64]
    overlap: Int32
    hamming: Int32


class Work(NamedTuple):
    """What a search cost: postings read, pins counted once, and pins whose distance was taken."""

    postings: int
    touched: int
    compared: int


class Found(NamedTuple):
    candidates: Candidates
    work: Work


def search(segment: Segment, queries: Signatures, radius: int, min_overlap: int = 1) -> Found:
    """Pins sharing at least ``min_overlap`` terms with a query and at most ``radius`` bits apart.

    ``queries`` uint8 [q, 128]. Exact in both conditions; which links share a term is a matter of
    chance (see ``segment.k_for``).
    """
    terms = terms_of(queries, segment.bits)
    query, pin, shared, hamming, *work = _search(
        terms,
        segment.offsets,
        segment.postings,
        words(queries),
        words(segment.signatures),
        radius,
        max(min_overlap, 1),
    )
    order = np.lexsort((pin, query))
    ordinal = pin[order].astype(np.int64) + segment.first
    candidates = Candidates(query[order], ordinal, shared[order], hamming[order])
    return Found(candidates, Work(*(int(number) for number in work)))


def overlap(left: Signatures, right: Signatures, bands: Bands, k: int) -> Int32:
    """Terms of k bits that row i of both shares, int32 [n]; signatures uint8 [n, 128]."""
    equal = bands.terms(left, k) == bands.terms(right, k)
    return np.asarray(equal.sum(axis=0, dtype=np.int32))


@numba.njit(cache=True, nogil=True)
def _search(terms, offsets, postings, queries, signatures, radius, min_overlap):  # type: ignore[no-untyped-def]
    counts = np.zeros(len(signatures), np.uint16)
    # one more than pins: the loop below writes before it knows whether the pin is new
    listed = np.empty(len(signatures) + 1, np.uint32)
    query, pins = np.empty(1024, np.int32), np.empty(1024, np.uint32)
    shared, bits = np.empty(1024, np.int32), np.empty(1024, np.int32)
    size = n_postings = n_touched = n_compared = 0
    for i in range(len(queries)):
        touched = 0
        for band in range(len(offsets)):
            term = terms[band, i]
            begin, end = offsets[band, term], offsets[band, term + 1]
            n_postings += end - begin
            for at in range(begin, end):
                pin = postings[band, at]
                listed[touched] = pin
                touched += counts[pin] == 0
                counts[pin] += 1
        n_touched += touched
        for at in range(touched):
            pin = listed[at]
            count = counts[pin]
            counts[pin] = 0
            if count < min_overlap:
                continue
            n_compared += 1
            distance = row_distance(queries[i], signatures[pin])
            if distance > radius:
                continue
            if size == len(query):
                query, pins, shared, bits = grown(query), grown(pins), grown(shared), grown(bits)
            query[size], pins[size], shared[size], bits[size] = i, pin, count, distance
            size += 1
    found = query[:size], pins[:size], shared[:size], bits[:size]
    return (*found, n_postings, n_touched, n_compared)
