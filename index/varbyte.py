"""Ascending lists as gaps in variable-byte code.

A list v0 <= v1 <= ... is stored as v0, v1 - v0, v2 - v1, ...; each gap in groups of seven bits,
the lowest first, one to a byte; the high bit of a byte says that another follows (LEB128). A gap
below 128 takes one byte, any uint32 at most five. Many lists stand one after another without a
mark: ``offsets`` say how long each is. Survey: Zobel and Moffat 2006, "Inverted files for text
search engines", section 8.

Decoding looks at eight bytes at a time. Most gaps of posting lists take one: those before the
first that takes more are summed at once, and the end of that one is found by a count of trailing
zeros, without a branch for its length.
"""

import sys
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from neardup.index.intrinsics import load_word, trailing_zeros

assert sys.byteorder == "little", "eight bytes are read as one little-endian word"

_WORD = 8
_MOST_BYTES = 5
_TRUNCATED, _OVERLONG, _BEYOND = -1, -2, -3
_DAMAGE = {
    _TRUNCATED: "the data ends inside a list",
    _OVERLONG: "a gap takes more than five bytes",
    _BEYOND: "a value is beyond the limit",
}

_MARKS = np.uint64(0x8080808080808080)
_LANES, _ONES = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0001000100010001)  # of 16 bits


def encode(
    values: npt.NDArray[np.integer[Any]], offsets: npt.NDArray[np.uint32] | None = None
) -> npt.NDArray[np.uint8]:
    """Bytes uint8 [b] of the lists ``values[offsets[t]:offsets[t + 1]]``; one list if no offsets.

    ``values`` must fit uint32 and ascend within each list (equal ones may follow each other).
    Raises ValueError if they do not.
    """
    lists = _lists(values, offsets)
    out = np.empty(_MOST_BYTES * len(values), np.uint8)
    size = _encode(np.ascontiguousarray(values, np.uint32), lists, out)
    if size < 0:
        raise ValueError("values must ascend within each list")
    return out[:size].copy()


def decode(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.uint32],
    limit: int = 2**32 - 1,
) -> npt.NDArray[np.uint32]:
    """The values uint32 [offsets[-1]] that ``encode`` was given.

    Raises ValueError if the data is damaged: it ends too early or too late, or holds a value above
    ``limit``. Nothing outside ``data`` is ever used.
    """
    out = np.empty(int(offsets[-1]), np.uint32)
    padded = np.concatenate([data, np.zeros(_WORD, np.uint8)])
    size = _decode(padded, len(data), offsets, np.uint64(limit), out)
    if size < 0:
        raise ValueError(_DAMAGE[size])
    if size != len(data):
        raise ValueError(f"{len(data) - size} bytes follow the last list")
    return out


def _lists(
    values: npt.NDArray[np.integer[Any]], offsets: npt.NDArray[np.uint32] | None
) -> npt.NDArray[np.uint32]:
    if offsets is None:
        return np.array([0, len(values)], np.uint32)
    if offsets[-1] != len(values):
        raise ValueError(f"offsets end at {offsets[-1]}, but there are {len(values)} values")
    return offsets


@numba.njit(cache=True, nogil=True)
def _encode(values, offsets, out):  # type: ignore[no-untyped-def]
    at = 0
    for t in range(len(offsets) - 1):
        previous = np.uint32(0)
        for i in range(offsets[t], offsets[t + 1]):
            if values[i] < previous:
                return -1
            gap = np.uint32(values[i] - previous)
            previous = values[i]
            while gap > 127:
                out[at] = np.uint8(gap & 127 | 128)
                gap = np.uint32(gap >> 7)
                at += 1
            out[at] = np.uint8(gap)
            at += 1
    return at


@numba.njit(cache=True, nogil=True)
def _decode(data, size, offsets, limit, out):  # type: ignore[no-untyped-def]
    """Fill ``out``; the bytes used, or what is wrong. ``data`` has eight bytes behind ``size``."""
    at = np.int64(0)
    for t in range(len(offsets) - 1):
        value = np.uint64(0)
        i, end = np.int64(offsets[t]), np.int64(offsets[t + 1])
        while i < end:
            if at >= size:
                return _TRUNCATED
            word = load_word(data, at)
            marks = word & _MARKS
            short = np.int64(trailing_zeros(marks) >> np.uint64(3))  # gaps of one byte before it
            if short > 0 and i + _WORD <= end:
                total = value
                for j in range(_WORD):  # what is written after them is written again
                    total += (word >> np.uint64(8 * j)) & np.uint64(0xFF)
                    out[i + j] = np.uint32(total)
                value += _sum(word & _below(marks))
                i += short
                at += short
                continue
            ends = ~word & _MARKS
            length = np.int64((trailing_zeros(ends) + np.uint64(1)) >> np.uint64(3))
            if length > _MOST_BYTES:
                return _OVERLONG
            value += _gap(word & (ends ^ (ends - np.uint64(1))))
            out[i] = np.uint32(value)
            i += 1
            at += length
        if at > size:
            return _TRUNCATED
        if value > limit:
            return _BEYOND
    return at


@numba.njit(cache=True, nogil=True, inline="always")
def _below(marks):  # type: ignore[no-untyped-def]
    """The bits of all bytes below the lowest one that is marked; all bits if none is."""
    return ((marks & (~marks + np.uint64(1))) >> np.uint64(7)) - np.uint64(1)


@numba.njit(cache=True, nogil=True, inline="always")
def _sum(word):  # type: ignore[no-untyped-def]
    """Of its eight bytes."""
    pairs = (word & _LANES) + ((word >> np.uint64(8)) & _LANES)
    return (pairs * _ONES) >> np.uint64(48)


@numba.njit(cache=True, nogil=True, inline="always")
def _gap(word):  # type: ignore[no-untyped-def]
    """The seven bits of each of the five lowest bytes, together."""
    gap = word & np.uint64(0x7F)
    gap |= (word >> np.uint64(1)) & np.uint64(0x3F80)
    gap |= (word >> np.uint64(2)) & np.uint64(0x1FC000)
    gap |= (word >> np.uint64(3)) & np.uint64(0xFE00000)
    return gap | ((word >> np.uint64(4)) & np.uint64(0x7F0000000))
