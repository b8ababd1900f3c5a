"""Search of one segment: terms, overlap counts, Hamming distance.

For each query the postings of its term in every band are counted in an array with a counter per
pin; the pins touched are listed on the way, so that only they are looked at and reset. Counters and
list are reused: nothing is allocated per query.

What is left is waiting for memory: two cache lines a band and two a distance, at random places.
They are asked for ahead of their use, which makes a search of 65,536 pins five times as fast.
"""

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from neardup.index.hamming import WORDS, grown, row_distance, words
from neardup.index.intrinsics import prefetch
from neardup.index.segment import Segment
from neardup.index.store import SIGNATURE_BYTES
from neardup.index.terms import Bands, terms_of

Signatures = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]

# distances in flight: 16 * 2 lines cover a wait of about 100 ns and fit the core's line buffers
_AHEAD = 16


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
    if left.shape != right.shape:
        raise ValueError(f"{list(left.shape)} signatures on the left, {list(right.shape)} right")
    out = np.empty(len(left), np.int32)
    _overlap(words(left), words(right), _masks(bands.bits[:, :k]), out)
    return out


def _masks(bits: npt.NDArray[np.int16]) -> npt.NDArray[np.uint64]:
    """The bits of each band as a mask of the signature, word-major: uint64 [16, L]."""
    masks = np.zeros((len(bits), 8 * SIGNATURE_BYTES), np.uint8)
    np.put_along_axis(masks, bits.astype(np.int64), 1, axis=1)
    return np.ascontiguousarray(words(np.packbits(masks, axis=1)).T)


@numba.njit(cache=True, nogil=True)
def _overlap(left, right, masks, out):  # type: ignore[no-untyped-def]
    """Terms are equal if no bit of the band differs; all bands at once, a word at a time."""
    differs = np.empty(masks.shape[1], np.uint64)
    for i in range(len(out)):
        differs[:] = 0
        for w in range(WORDS):
            word = left[i, w] ^ right[i, w]
            for band in range(len(differs)):
                differs[band] |= word & masks[w, band]
        shared = 0
        for band in range(len(differs)):
            shared += differs[band] == 0
        out[i] = shared


@numba.njit(cache=True, nogil=True)
def _search(terms, offsets, postings, queries, signatures, radius, min_overlap):  # type: ignore[no-untyped-def]
    counts = np.zeros(len(signatures), np.uint16)
    # one more than pins: counting writes before it knows whether the pin is new
    listed = np.empty(len(signatures) + 1, np.uint32)
    overlaps = np.empty(len(signatures) + 1, np.uint16)
    lists = np.empty((len(offsets), 2), np.int64)
    query, pins = np.empty(1024, np.int32), np.empty(1024, np.uint32)
    shared, bits = np.empty(1024, np.int32), np.empty(1024, np.int32)
    size = n_postings = n_touched = n_compared = 0
    flat = signatures.reshape(-1)
    for i in range(len(queries)):
        n_postings += _find_lists(terms[:, i], offsets, postings, lists)
        touched = _count(lists, postings, counts, listed)
        if i + 1 < len(queries):
            _prefetch_offsets(terms[:, i + 1], offsets)
        kept = _keep(touched, min_overlap, counts, listed, overlaps)
        n_touched += touched
        n_compared += kept
        while size + kept > len(query):
            query, pins, shared, bits = grown(query), grown(pins), grown(shared), grown(bits)
        for at in range(kept):
            if at + _AHEAD < kept:
                ahead = np.int64(listed[at + _AHEAD]) * WORDS
                prefetch(flat, ahead)
                prefetch(flat, ahead + WORDS // 2)
            distance = row_distance(queries[i], signatures[listed[at]])
            if distance <= radius:
                query[size], pins[size] = i, listed[at]
                shared[size], bits[size] = overlaps[at], distance
                size += 1
    found = query[:size], pins[:size], shared[:size], bits[:size]
    return (*found, n_postings, n_touched, n_compared)


@numba.njit(cache=True, nogil=True)
def _find_lists(terms, offsets, postings, lists):  # type: ignore[no-untyped-def]
    """Begin and end of the list of each band's term, asking for its first postings; their sum."""
    flat, total = postings.reshape(-1), np.int64(0)
    for band in range(len(lists)):
        begin = np.int64(offsets[band, terms[band]])
        end = np.int64(offsets[band, terms[band] + 1])
        prefetch(flat, band * postings.shape[1] + begin)
        lists[band, 0], lists[band, 1] = begin, end
        total += end - begin
    return total


@numba.njit(cache=True, nogil=True)
def _prefetch_offsets(terms, offsets):  # type: ignore[no-untyped-def]
    flat = offsets.reshape(-1)
    for band in range(len(offsets)):
        prefetch(flat, band * offsets.shape[1] + np.int64(terms[band]))


@numba.njit(cache=True, nogil=True)
def _count(lists, postings, counts, listed):  # type: ignore[no-untyped-def]
    """Count each pin of the lists, and list it once; how many pins there are. No branch per pin."""
    touched = 0
    for band in range(len(lists)):
        for at in range(lists[band, 0], lists[band, 1]):
            pin = postings[band, at]
            listed[touched] = pin
            touched += counts[pin] == 0
            counts[pin] += 1
    return touched


@numba.njit(cache=True, nogil=True)
def _keep(touched, min_overlap, counts, listed, overlaps):  # type: ignore[no-untyped-def]
    """Move pins with enough overlap to the front and reset all counters; how many are kept."""
    kept = 0
    for at in range(touched):
        pin = listed[at]
        count = counts[pin]
        counts[pin] = 0
        listed[kept], overlaps[kept] = pin, count
        kept += count >= min_overlap
    return kept
