"""Postings of one band: which pins of a segment have which term.

The dictionary is direct addressing: a term of k bits is a position in the offsets. Postings are
pin numbers within the segment (ordinal minus first ordinal), ascending within a term.

Body of a ``band`` block, little-endian: number of postings uint32, bytes of the dictionary uint32,
sampled bits int16 [k], dictionary (the ends of all 2^k lists as one varbyte list), the lists.
With 4 pins a term the dictionary costs a quarter of a byte per posting and a gap two or three.
"""

import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.index.varbyte import decode, encode

_COUNTS = struct.Struct("<II")


class Postings(NamedTuple):
    """CSR: the pins with term t are ``pins[offsets[t]:offsets[t + 1]]``.

    ``bits`` int16 [k], ``offsets`` uint32 [2^k + 1], ``pins`` uint16 or uint32 [m].
    """

    bits: npt.NDArray[np.int16]
    offsets: npt.NDArray[np.uint32]
    pins: npt.NDArray[Any]


def pin_dtype(n: int) -> np.dtype[Any]:
    """The narrower of uint16 and uint32 that numbers ``n`` pins."""
    return np.dtype(np.uint16 if n <= 2**16 else np.uint32)


def build(terms: npt.NDArray[np.uint32], bits: npt.NDArray[np.int16]) -> Postings:
    """Postings of pins 0..n-1 with ``terms`` uint32 [n], each below 2^k; ``bits`` int16 [k]."""
    counts = np.bincount(terms, minlength=1 << len(bits))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32)
    # numpy sorts 16-bit integers by radix, ten times faster than wider ones
    keys = terms.astype(np.uint16) if len(bits) <= 16 else terms
    pins = np.argsort(keys, kind="stable").astype(pin_dtype(len(terms)))
    return Postings(bits, offsets, pins)


def to_body(postings: Postings) -> bytes:
    """The body of a ``band`` block."""
    bits, offsets, pins = postings
    dictionary = encode(offsets[1:]).tobytes()
    counts = _COUNTS.pack(len(pins), len(dictionary))
    return counts + bits.astype("<i2").tobytes() + dictionary + encode(pins, offsets).tobytes()


def from_body(body: memoryview, k: int, n: int) -> Postings:
    """Decode a body for terms of ``k`` bits over ``n`` pins.

    Raises ValueError if it holds anything else: the caller knows the segment's name.
    """
    start = _COUNTS.size + 2 * k
    if len(body) < start:
        raise ValueError(f"the body has only {len(body)} bytes")
    n_postings, size = _COUNTS.unpack_from(body)
    data = np.frombuffer(body, np.uint8)
    bits = np.frombuffer(body, "<i2", k, _COUNTS.size).astype(np.int16)
    offsets = np.zeros((1 << k) + 1, np.uint32)
    whole = np.array([0, 1 << k], np.uint32)
    offsets[1:] = decode(data[start : start + size], whole, n_postings)
    if offsets[-1] != n_postings:
        raise ValueError(f"the lists hold {offsets[-1]} postings instead of {n_postings}")
    return Postings(
        bits, offsets, decode(data[start + size :], offsets, max(n - 1, 0), pin_dtype(n))
    )
