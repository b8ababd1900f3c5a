"""The frame around every stored block of a segment.

Layout, little-endian, 48 bytes before the body:

| bytes | what |
|---|---|
| 4 | magic ``ndup`` |
| 4 | kind: ``meta``, ``ords``, ``sign``, ``pins`` or ``band`` |
| 2 | format version |
| 2 | number of the band, 0 for other kinds |
| 4 | version of the term plan, as in ``TermPlan.version`` |
| 8 | first ordinal of the segment's range |
| 8 | end ordinal of the range |
| 4 | n, pins indexed |
| 8 | bytes of the body |
| 4 | CRC32 of the 44 bytes before it and the body |

Format version 3. Version 2 has more and shorter lists in its bands, and is read as well; version 1
had neither plans nor ordinals.
"""

import struct
import zlib
from typing import NamedTuple

from neardup.schemas.errors import SegmentError

FORMAT_VERSION = 3
READABLE = (2, 3)
META, ORDINALS, SIGNATURES, IDS, BAND = b"meta", b"ords", b"sign", b"pins", b"band"

_MAGIC = b"ndup"
_HEADER = struct.Struct("<4s4sHH4sqqIQ")
_CHECKSUM = struct.Struct("<I")
_OVERHEAD = _HEADER.size + _CHECKSUM.size


class Place(NamedTuple):
    """Where a block belongs: its kind, its band, and the segment: plan, range, pins indexed."""

    kind: bytes
    band: int
    plan: str
    first: int
    end: int
    n: int


def seal(place: Place, body: bytes) -> bytes:
    """The block: header, checksum, body."""
    kind, band, plan, first, end, n = place
    header = _HEADER.pack(
        _MAGIC, kind, FORMAT_VERSION, band, bytes.fromhex(plan), first, end, n, len(body)
    )
    return header + _CHECKSUM.pack(zlib.crc32(body, zlib.crc32(header))) + body


def unseal(payload: bytes, segment_id: str, block: str) -> tuple[Place, memoryview]:
    """Where the block says it belongs, and its body.

    Raises SegmentError naming segment and block if it is truncated, changed, or of another version.
    """
    if len(payload) < _OVERHEAD:
        raise damaged(segment_id, block, f"it is cut off after {len(payload)} bytes")
    magic, kind, version, band, plan, first, end, n, size = _HEADER.unpack_from(payload)
    if magic != _MAGIC:
        raise damaged(segment_id, block, f"it begins with {magic!r} instead of {_MAGIC!r}")
    if version not in READABLE:
        known = " and ".join(map(str, READABLE))
        raise SegmentError(
            f"Block {block} of segment {segment_id} has format version {version}, and this release "
            f"reads versions {known}. Read it with the release that wrote it, or build the segment "
            "again from `pins`."
        )
    body = memoryview(payload)[_OVERHEAD:]
    if len(body) != size:
        raise damaged(segment_id, block, f"its body has {len(body)} bytes instead of {size}")
    (checksum,) = _CHECKSUM.unpack_from(payload, _HEADER.size)
    found = zlib.crc32(body, zlib.crc32(payload[: _HEADER.size]))
    if found != checksum:
        raise damaged(segment_id, block, f"its CRC32 is {found:08x} instead of {checksum:08x}")
    return Place(kind, band, plan.hex(), first, end, n), body


def damaged(segment_id: str, block: str, what: str) -> SegmentError:
    """The error for a block that cannot be used, with what was found and what to do."""
    return SegmentError(
        f"Block {block} of segment {segment_id} is damaged: {what}. Nothing else is lost: the "
        "segment can be built again from `pins`."
    )
