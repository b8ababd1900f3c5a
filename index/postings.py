"""Postings of one band: which pins of a segment have which term.

The dictionary is direct addressing: the first d bits of a term, d <= term_bits, are a position in
the offsets. Postings are pin numbers within the segment (positions in its ascending ordinals),
ascending within a list.

On disk a list is gaps in variable-byte code. Body of a ``band`` block, little-endian: number of
postings uint32, bytes of the dictionary uint32, the dictionary (the ends of all 2^d lists as one
varbyte list), the lists. With 4 pins a list the dictionary costs a quarter of a byte per posting
and a gap two or three.

In memory a posting is an *entry*, one uint64, that holds what a search must compare:

| bits | what |
|---|---|
| 63..56 | the rest of the term, after its first d bits (so d >= term_bits - 8) |
| 55..24 | the tail |
| 23..0 | the pin number (so a segment has at most 2^24 pins) |

A list is read from one place of memory, and only pins that match are looked up elsewhere.
"""

import struct
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from neardup.index.terms import TAIL_BITS
from neardup.index.varbyte import decode, encode

PIN_BITS = 24
REST_BITS = 64 - TAIL_BITS - PIN_BITS
MAX_PINS = 2**PIN_BITS
LONG_LIST = 4096
"""Entries of longer lists are sorted by rest and tail, so that a search can split them by more
bits (``index.search``); shorter ones are in the order of pins."""

_COUNTS = struct.Struct("<II")

UInt32 = npt.NDArray[np.uint32]
UInt64 = npt.NDArray[np.uint64]


class Postings(NamedTuple):
    """CSR: the pins whose terms begin with the d bits t are ``pins[offsets[t]:offsets[t + 1]]``.

    ``offsets`` uint32 [2^d + 1], ``pins`` uint32 [n].
    """

    offsets: UInt32
    pins: UInt32


def directory_bits(n: int, term_bits: int) -> int:
    """d for a segment of ``n`` pins: log2(n) - 2, about four postings a list, within bounds.

    Shorter lists would be empty reads, longer ones more entries than a cache line or two holds. At
    most ``term_bits``, and not so few that the rest of the term does not fit an entry.
    """
    wanted = max(n, 1).bit_length() - 3
    return max(min(wanted, term_bits), term_bits - REST_BITS, 1)


def build(words: UInt64, term_bits: int, d: int) -> Postings:
    """Postings of pins 0..n-1 with band words uint64 [n], ``term << 32 | tail``."""
    offsets = np.zeros((1 << d) + 1, np.uint32)
    pins = np.empty(len(words), np.uint32)
    _sort(words, np.uint64(TAIL_BITS + term_bits - d), offsets, pins)
    return Postings(offsets, pins)


def pack(postings: Postings, words: UInt64, term_bits: int, d: int, out: UInt64) -> None:
    """Fill ``out`` uint64 [n] with the entries of a band, from its pins' words uint64 [n]."""
    _pack(postings.offsets, postings.pins, words, np.uint64(rest_and_tail(term_bits, d)), out)


def rest_and_tail(term_bits: int, d: int) -> int:
    """Mask of a band word: the bits that an entry repeats, the others are the list's place."""
    return (1 << (TAIL_BITS + term_bits - d)) - 1


def to_body(postings: Postings) -> bytes:
    """The body of a ``band`` block."""
    offsets, pins = postings
    dictionary = encode(offsets[1:]).tobytes()
    return _COUNTS.pack(len(pins), len(dictionary)) + dictionary + encode(pins, offsets).tobytes()


def from_body(body: memoryview, d: int, n: int) -> Postings:
    """Decode a body with 2^d lists over ``n`` pins.

    Raises ValueError if it holds anything else: the caller knows the segment's name.
    """
    if len(body) < _COUNTS.size:
        raise ValueError(f"the body has only {len(body)} bytes")
    n_postings, size = _COUNTS.unpack_from(body)
    if n_postings != n:
        raise ValueError(f"it has {n_postings} postings instead of {n}")
    data = np.frombuffer(body, np.uint8)[_COUNTS.size :]
    offsets = np.zeros((1 << d) + 1, np.uint32)
    offsets[1:] = decode(data[:size], np.array([0, 1 << d], np.uint32), n)
    if offsets[-1] != n:
        raise ValueError(f"the lists hold {offsets[-1]} postings instead of {n}")
    return Postings(offsets, decode(data[size:], offsets, max(n - 1, 0)))


@numba.njit(cache=True, nogil=True)
def _sort(words, shift, offsets, pins):  # type: ignore[no-untyped-def]
    """Counting sort by the first d bits of the term; stable, so pins ascend within a list."""
    for word in words:
        offsets[(word >> shift) + np.uint64(1)] += np.uint32(1)
    for t in range(1, len(offsets)):
        offsets[t] += offsets[t - 1]
    ends = offsets[:-1].copy()
    for pin in range(len(words)):
        t = words[pin] >> shift
        pins[ends[t]] = pin
        ends[t] += np.uint32(1)


@numba.njit(cache=True, nogil=True)
def _pack(offsets, pins, words, mask, out):  # type: ignore[no-untyped-def]
    for at in range(len(pins)):
        pin = np.uint64(pins[at])
        out[at] = (words[pin] & mask) << np.uint64(PIN_BITS) | pin
    for t in range(len(offsets) - 1):
        if offsets[t + 1] - offsets[t] > LONG_LIST:
            out[offsets[t] : offsets[t + 1]].sort()
