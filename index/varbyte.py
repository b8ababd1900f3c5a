"""Ascending lists as gaps in variable-byte code.

A list v0 <= v1 <= ... is stored as v0, v1 - v0, v2 - v1, ...; each gap in groups of seven bits,
the lowest first, one to a byte; the high bit of a byte says that another follows (LEB128). A gap
below 128 takes one byte, any uint32 at most five. Many lists stand one after another without a
mark: ``offsets`` say how long each is. Survey: Zobel and Moffat 2006, "Inverted files for text
search engines", section 8.
"""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

_TRUNCATED, _OVERLONG, _BEYOND = -1, -2, -3
_DAMAGE = {
    _TRUNCATED: "the data ends inside a list",
    _OVERLONG: "a gap takes more than five bytes",
    _BEYOND: "a value is beyond the limit",
}


def encode(
    values: npt.NDArray[np.integer[Any]], offsets: npt.NDArray[np.uint32] | None = None
) -> npt.NDArray[np.uint8]:
    """Bytes uint8 [b] of the lists ``values[offsets[t]:offsets[t + 1]]``; one list if no offsets.

    ``values`` must fit uint32 and ascend within each list (equal ones may follow each other).
    Raises ValueError if they do not.
    """
    lists = _lists(values, offsets)
    out = np.empty(5 * len(values), np.uint8)
    size = _encode(np.ascontiguousarray(values, np.uint32), lists, out)
    if size < 0:
        raise ValueError("values must ascend within each list")
    return out[:size].copy()


def decode(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.uint32],
    limit: int = 2**32 - 1,
    dtype: npt.DTypeLike = np.uint32,
) -> npt.NDArray[Any]:
    """The values [offsets[-1]] that ``encode`` was given, as ``dtype``.

    Raises ValueError if the data is damaged: it ends too early or too late, or holds a value above
    ``limit``. Nothing outside ``data`` is ever read.
    """
    out = np.empty(int(offsets[-1]), dtype)
    size = _decode(data, offsets, np.uint64(limit), out)
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
def _decode(data, offsets, limit, out):  # type: ignore[no-untyped-def]
    at = 0
    for t in range(len(offsets) - 1):
        value = np.uint64(0)
        for i in range(offsets[t], offsets[t + 1]):
            shift = np.uint64(0)
            while True:
                if at == len(data):
                    return _TRUNCATED
                if shift > 28:
                    return _OVERLONG
                byte = np.uint64(data[at])
                at += 1
                value += (byte & np.uint64(127)) << shift
                if byte < 128:
                    break
                shift += np.uint64(7)
            if value > limit:
                return _BEYOND
            out[i] = value
    return at
