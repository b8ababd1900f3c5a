"""Postings of one band: which pins of a segment have which term.

The dictionary is direct addressing: the first bits of a term are a position in the offsets.
Postings are pin numbers within the segment (positions in its ascending ordinals), ascending within
a list.

On disk a list is gaps in variable-byte code, and 5 bits at most address it: then a gap is 32 on
average and nearly always takes one byte. More bits would not say more: the rest of a term is in the
signatures, which are stored beside. Body of a ``band`` block, little-endian: number of postings
uint32, bytes of the dictionary uint32, the dictionary (the ends of all lists as one varbyte list),
the lists.

In memory d bits address a list, as many as make it short, and a posting is an *entry*, one uint64,
that holds what a search must compare:

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

_STORED_BITS = 5
_COUNTS = struct.Struct("<II")

UInt32 = npt.NDArray[np.uint32]
UInt64 = npt.NDArray[np.uint64]


class Postings(NamedTuple):
    """CSR: the pins whose terms begin with the bits t are ``pins[offsets[t]:offsets[t + 1]]``.

    ``offsets`` uint32 [2^b + 1] for lists addressed by b bits, ``pins`` uint32 [n].
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


def stored_bits(d: int) -> int:
    """Bits by which lists are addressed on disk, in a segment that has d in memory."""
    return min(d, _STORED_BITS)


def build(words: UInt64, term_bits: int, bits: int) -> Postings:
    """Postings of pins 0..n-1 with band words uint64 [n], in lists addressed by so many bits.

    A word is ``term << 32 | tail``.
    """
    offsets = np.zeros((1 << bits) + 1, np.uint32)
    pins = np.empty(len(words), np.uint32)
    _sort(words, np.uint64(TAIL_BITS + term_bits - bits), offsets, pins)
    return Postings(offsets, pins)


def pack(pins: UInt32, words: UInt64, term_bits: int, offsets: UInt32, entries: UInt64) -> None:
    """Fill a band's ``offsets`` uint32 [2^d + 1] and ``entries`` uint64 [n].

    ``pins`` uint32 [n] in the order of lists of d bits or fewer; ``words`` uint64 [n] by pin.
    """
    d = (len(offsets) - 1).bit_length() - 1
    shift, mask = TAIL_BITS + term_bits - d, rest_and_tail(term_bits, d)
    offsets[:] = 0
    _pack(pins, words, np.uint64(shift), np.uint64(mask), offsets, entries)


def rest_and_tail(term_bits: int, d: int) -> int:
    """Mask of a band word: the bits that an entry repeats, the others are the list's place."""
    return (1 << (TAIL_BITS + term_bits - d)) - 1


def to_body(postings: Postings) -> bytes:
    """The body of a ``band`` block."""
    offsets, pins = postings
    dictionary = encode(offsets[1:]).tobytes()
    return _COUNTS.pack(len(pins), len(dictionary)) + dictionary + encode(pins, offsets).tobytes()


def from_body(body: memoryview, d: int, n: int) -> Postings:
    """Decode a body with lists of at most ``d`` bits over ``n`` pins.

    Raises ValueError if it holds anything else: the caller knows the segment's name.
    """
    if len(body) < _COUNTS.size:
        raise ValueError(f"the body has only {len(body)} bytes")
    n_postings, size = _COUNTS.unpack_from(body)
    if n_postings != n:
        raise ValueError(f"it has {n_postings} postings instead of {n}")
    data = np.frombuffer(body, np.uint8)[_COUNTS.size :]
    lists = int(np.count_nonzero(data[:size] < 128))  # the last byte of each end
    if lists.bit_count() != 1 or lists > 1 << d:
        raise ValueError(f"its dictionary has {lists} lists")
    offsets = np.zeros(lists + 1, np.uint32)
    offsets[1:] = decode(data[:size], np.array([0, lists], np.uint32), n)
    if offsets[-1] != n:
        raise ValueError(f"the lists hold {offsets[-1]} postings instead of {n}")
    return Postings(offsets, decode(data[size:], offsets, max(n - 1, 0)))


@numba.njit(cache=True, nogil=True)
def _sort(words, shift, offsets, pins):  # type: ignore[no-untyped-def]
    """Counting sort by the first bits of the term; stable, so pins ascend within a list."""
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
def _pack(pins, words, shift, mask, offsets, entries):  # type: ignore[no-untyped-def]
    """Counting sort of lists that are nearly in order already: each goes to a few neighbours."""
    for pin in pins:
        offsets[(words[pin] >> shift) + np.uint64(1)] += np.uint32(1)
    for t in range(1, len(offsets)):
        offsets[t] += offsets[t - 1]
    places = offsets[:-1].copy()
    for pin in pins:
        word = words[pin]
        t = word >> shift
        entries[places[t]] = (word & mask) << np.uint64(PIN_BITS) | np.uint64(pin)
        places[t] += np.uint32(1)
    for t in range(len(offsets) - 1):
        if offsets[t + 1] - offsets[t] > LONG_LIST:
            entries[offsets[t] : offsets[t + 1]].sort()
