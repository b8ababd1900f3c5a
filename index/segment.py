"""A segment: a range of ordinals, immutable, with postings of every band, signatures and pin ids.

Stored as named blocks: ``signatures``, ``ids`` and ``band-000``, ``band-001``, ... Document
partitioned: all bands of a pin are in its segment, so overlaps are counted without a shuffle.
The same range of the log and the same bands always give the same bytes.

Body of ``signatures``: uint8 [n, 128]. Body of ``ids``: sorted hashes uint64 [n, 2] (two
little-endian words), then the pin of each uint32 [n]. For ``band`` see ``index.postings``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.index import blocks as frame
from neardup.index import postings
from neardup.index.ids import find_sorted, sort_ids
from neardup.index.store import SIGNATURE_BYTES
from neardup.index.terms import Bands
from neardup.schemas.errors import SegmentError

SMALLEST_K, LARGEST_K = 8, 13


class SegmentBlocks(NamedTuple):
    """A built segment: its id, and its blocks by name."""

    segment_id: str
    blocks: dict[str, bytes]


@dataclass(frozen=True, eq=False)
class Segment:
    """A decoded segment of n pins, L bands, terms of k bits and m postings a band.

    ``bits`` int16 [L, k], ``offsets`` uint32 [L, 2^k + 1], ``postings`` uint16 or uint32 [L, m],
    ``signatures`` uint8 [n, 128], ``sorted_ids`` uint64 [n, 2] with ``id_pins`` uint32 [n]. Pins
    are numbered from 0; ``first`` is the ordinal of pin 0. Arrays may be memory-mapped, read-only.
    """

    segment_id: str
    first: int
    bits: npt.NDArray[np.int16]
    offsets: npt.NDArray[np.uint32]
    postings: npt.NDArray[Any]
    signatures: npt.NDArray[np.uint8]
    sorted_ids: npt.NDArray[np.uint64]
    id_pins: npt.NDArray[np.uint32]

    @property
    def n(self) -> int:
        return len(self.signatures)

    @property
    def k(self) -> int:
        return int(self.bits.shape[1])

    def find_ids(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """The newest ordinal of each pin id, int64 [q]; -1 where it is not in this segment.

        ``hashes`` uint64 [q, 2] as from ``ids.id_hashes``.
        """
        pins = find_sorted(self.sorted_ids, self.id_pins, hashes)
        return np.where(pins < 0, -1, pins + self.first)


def segment_id_of(first: int, end: int) -> str:
    """The id of the segment of ordinals ``first`` to ``end - 1``: sorts by first ordinal."""
    return f"{first:012d}-{end:012d}"


def k_for(n: int) -> int:
    """Bits of a term for a segment of ``n`` pins: log2(n) - 2, within 8 and 13.

    Balanced bits give n / 2^k, so about four, postings a list: fewer would read empty lists, more
    would count pins that share a term by chance. 13 is the most for which 128 bands find .99 of
    the links, averaged over the distances that links have (11 % of the bits at the median, 21 % at
    the 90th percentile, 27 % at the 99th):

    | k | recall over the links' distances | at 11 % | at 21 % | at 27 % |
    |---|---|---|---|---|
    | 8 | 1.0000 | 1.000 | 1.000 | 1.000 |
    | 10 | .9998 | 1.000 | 1.000 | .996 |
    | 12 | .9977 | 1.000 | 1.000 | .948 |
    | 13 | .9946 | 1.000 | .998 | .884 |
    | 14 | .9896 | 1.000 | .992 | .792 |
    | 16 | .9724 | 1.000 | .949 | .566 |

    The formula is ``terms.recall``.
    """
    return min(max(round(math.log2(max(n, 1))) - 2, SMALLEST_K), LARGEST_K)


def build_segment(
    first_ordinal: int,
    signatures: npt.NDArray[np.uint8],
    id_hashes: npt.NDArray[np.uint64],
    bands: Bands,
) -> SegmentBlocks:
    """The blocks of ordinals ``first_ordinal`` and on; row i is ordinal ``first_ordinal + i``.

    ``signatures`` uint8 [n, 128], ``id_hashes`` uint64 [n, 2]. Pins may share an id or a signature.
    """
    n = len(signatures)
    if signatures.shape != (n, SIGNATURE_BYTES) or id_hashes.shape != (n, 2):
        raise ValueError(
            f"{signatures.shape} signatures and {id_hashes.shape} hashes: need "
            f"[n, {SIGNATURE_BYTES}] and [n, 2]"
        )
    k = k_for(n)
    place = frame.Place(frame.SIGNATURES, bands.count, k, 0, n, first_ordinal)
    sorted_ids, id_pins = sort_ids(id_hashes)
    ids = sorted_ids.astype("<u8").tobytes() + id_pins.astype("<u4").tobytes()
    built = {
        "signatures": frame.seal(place, signatures.tobytes()),
        "ids": frame.seal(place._replace(kind=frame.IDS), ids),
    }
    for band, terms in enumerate(bands.terms(signatures, k)):
        body = postings.to_body(postings.build(terms, bands.bits[band, :k]))
        built[band_block(band)] = frame.seal(place._replace(kind=frame.BAND, band=band), body)
    return SegmentBlocks(segment_id_of(first_ordinal, first_ordinal + n), built)


def decode_segment(segment_id: str, blocks: Mapping[str, bytes]) -> Segment:
    """Decode the blocks of a segment into arrays, checking each checksum.

    Raises SegmentError, naming the segment and the block, if one is missing or damaged.
    """
    signatures = _Opened(segment_id, blocks, "signatures")
    shape = signatures.place
    if segment_id != segment_id_of(shape.first, shape.first + shape.n):
        raise signatures.damaged(f"it is of {shape.n} pins from ordinal {shape.first}")
    pins = signatures.array(shape._replace(kind=frame.SIGNATURES), shape.n * SIGNATURE_BYTES)
    ids = _Opened(segment_id, blocks, "ids")
    hashes = 16 * shape.n
    rows = ids.array(shape._replace(kind=frame.IDS), hashes + 4 * shape.n)
    bands = [_band(segment_id, blocks, shape, band) for band in range(shape.bands)]
    return Segment(
        segment_id=segment_id,
        first=shape.first,
        bits=np.stack([band.bits for band in bands]),
        offsets=np.stack([band.offsets for band in bands]),
        postings=np.stack([band.pins for band in bands]),
        signatures=pins.reshape(-1, SIGNATURE_BYTES),
        sorted_ids=rows[:hashes].view("<u8").reshape(-1, 2),
        id_pins=rows[hashes:].view("<u4"),
    )


def band_block(band: int) -> str:
    """The name of a band's block."""
    return f"band-{band:03d}"


class _Opened:
    """A block out of its frame, which knows how to complain."""

    def __init__(self, segment_id: str, blocks: Mapping[str, bytes], name: str) -> None:
        self._segment_id, self._name = segment_id, name
        if name not in blocks:
            raise self.damaged("it is missing")
        self.place, self._body = frame.unseal(blocks[name], segment_id, name)

    def damaged(self, what: str) -> SegmentError:
        return frame.damaged(self._segment_id, self._name, what)

    def check(self, expected: frame.Place) -> memoryview:
        """The body, if the block belongs where it was found."""
        if self.place != expected:
            raise self.damaged(f"it says {self.place} instead of {expected}")
        return self._body

    def array(self, expected: frame.Place, size: int) -> npt.NDArray[np.uint8]:
        """The body as uint8 [size], a copy."""
        body = self.check(expected)
        if len(body) != size:
            raise self.damaged(f"its body has {len(body)} bytes instead of {size}")
        return np.frombuffer(body, np.uint8).copy()


def _band(
    segment_id: str, blocks: Mapping[str, bytes], shape: frame.Place, band: int
) -> postings.Postings:
    opened = _Opened(segment_id, blocks, band_block(band))
    body = opened.check(shape._replace(kind=frame.BAND, band=band))
    try:
        return postings.from_body(body, shape.k, shape.n)
    except ValueError as problem:
        raise opened.damaged(str(problem)) from problem
