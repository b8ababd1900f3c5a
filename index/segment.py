"""A segment: the indexed pins of a range of ordinals, immutable, searchable by itself.

Stored as named blocks: ``meta``, ``ordinals``, ``signatures``, ``ids`` and ``band-000``,
``band-001``, ... Document partitioned: all bands of a pin are in its segment, so overlaps are
counted without a shuffle. The same pins and the same plan always give the same bytes.

Not every pin of the range is indexed (``index.exemplars``), but every live one can be found by its
id. Bodies, little-endian: ``meta`` JSON with plan and directory bits; ``ordinals`` one varbyte list
of ordinal minus first; ``signatures`` uint8 [n, 128]; ``ids`` the sorted hashes uint64 [m, 2], then
ordinal minus first of each, uint32 [m]. For ``band-NNN`` see ``index.postings``.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.index import blocks as frame
from neardup.index import postings
from neardup.index.ids import find_sorted, sort_ids
from neardup.index.store import SIGNATURE_BYTES
from neardup.index.terms import TermPlan
from neardup.index.varbyte import decode, encode
from neardup.schemas.errors import SegmentError

Int64 = npt.NDArray[np.int64]
UInt64 = npt.NDArray[np.uint64]
Signatures = npt.NDArray[np.uint8]
Allocate = Callable[[str, tuple[int, ...], Any], npt.NDArray[Any]]

_WORDS_AT_ONCE = 2**25  # band words in memory while packing or building: 256 MiB


class SegmentBlocks(NamedTuple):
    """A built segment: its id, and its blocks by name."""

    segment_id: str
    blocks: dict[str, bytes]


@dataclass(frozen=True, eq=False)
class Segment:
    """A decoded segment of n indexed pins and m ids; L bands with 2^d lists each.

    ``ordinals`` int64 [n], ascending; ``offsets`` uint32 [L, 2^d + 1] and ``entries`` uint64 [L, n]
    as in ``index.postings``; ``signatures`` uint8 [n, 128]; ``sorted_ids`` uint64 [m, 2] with
    ``id_ordinals`` int64 [m]. The range is ``first`` to ``end - 1``. Arrays may be memory-mapped,
    read-only. A pin costs 8 L + 4 L 2^d / n + 136 bytes, and 24 for its id.
    """

    segment_id: str
    first: int
    end: int
    plan: TermPlan
    ordinals: Int64
    offsets: npt.NDArray[np.uint32]
    entries: UInt64
    signatures: Signatures
    sorted_ids: UInt64
    id_ordinals: Int64

    @property
    def n(self) -> int:
        return len(self.ordinals)

    @property
    def directory_bits(self) -> int:
        """d: the bits of a term by which its list is addressed."""
        return int(self.offsets.shape[1] - 1).bit_length() - 1

    def find_ids(self, hashes: UInt64) -> Int64:
        """The newest ordinal of each pin id, int64 [q]; -1 where it is not in this segment.

        ``hashes`` uint64 [q, 2] as from ``ids.id_hashes``.
        """
        return find_sorted(self.sorted_ids, self.id_ordinals, hashes)

    def signatures_of(self, ordinals: Int64) -> Signatures:
        """Signatures uint8 [q, 128] of indexed pins, by ordinals int64 [q] that are all here."""
        rows: Signatures = self.signatures[np.searchsorted(self.ordinals, ordinals)]
        return rows


class SegmentName(NamedTuple):
    """What a segment's id says: its range, the version of its plan, and how often it was built.

    A range is built again when much of it has ended, or when a stored block is damaged. Every
    building has an id of its own, because caches hold a segment by its id.
    """

    first: int
    end: int
    plan: str
    revision: int = 0

    def __str__(self) -> str:
        return f"{self.first:012d}-{self.end:012d}-{self.plan}-{self.revision:03d}"

    @property
    def span(self) -> tuple[int, int]:
        return self.first, self.end

    @classmethod
    def of(cls, segment_id: str) -> "SegmentName":
        """The parts of an id, which sort as the ids do."""
        first, end, plan, revision = segment_id.split("-")
        return cls(int(first), int(end), plan, int(revision))


def build_segment(
    span: tuple[int, int],
    ordinals: Int64,
    signatures: Signatures,
    id_hashes: UInt64,
    id_ordinals: Int64,
    plan: TermPlan,
    revision: int = 0,
) -> SegmentBlocks:
    """The blocks of the ordinals from ``span[0]`` to ``span[1] - 1``.

    ``ordinals`` int64 [n] ascending and ``signatures`` uint8 [n, 128]: the pins to index.
    ``id_hashes`` uint64 [m, 2] and ``id_ordinals`` int64 [m] ascending: the pins to find by id.
    """
    first, end = span
    n = len(ordinals)
    _check(first, end, ordinals, id_ordinals)
    if signatures.shape != (n, SIGNATURE_BYTES) or id_hashes.shape != (len(id_ordinals), 2):
        raise ValueError(
            f"signatures {list(signatures.shape)} and id hashes {list(id_hashes.shape)} do not fit "
            f"{n} ordinals and {len(id_ordinals)} ids"
        )
    d = postings.directory_bits(n, plan.term_bits)
    place = frame.Place(frame.META, 0, plan.version, first, end, n)
    sorted_ids, rows = sort_ids(id_hashes)
    ids = sorted_ids.astype("<u8").tobytes() + (id_ordinals[rows] - first).astype("<u4").tobytes()
    meta = {
        "plan": plan.to_json(),
        "revision": revision,
        "directory_bits": d,
        "ids": len(id_ordinals),
    }
    built = {
        "meta": frame.seal(place, json.dumps(meta, sort_keys=True).encode()),
        "ordinals": frame.seal(
            place._replace(kind=frame.ORDINALS), encode(ordinals - first).tobytes()
        ),
        "signatures": frame.seal(place._replace(kind=frame.SIGNATURES), signatures.tobytes()),
        "ids": frame.seal(place._replace(kind=frame.IDS), ids),
    }
    for band, words in _words_by_band(plan, signatures):
        lists = postings.build(words, plan.term_bits, postings.stored_bits(d))
        body = postings.to_body(lists)
        built[band_block(band)] = frame.seal(place._replace(kind=frame.BAND, band=band), body)
    return SegmentBlocks(str(SegmentName(first, end, plan.version, revision)), built)


def _check(first: int, end: int, ordinals: Int64, id_ordinals: Int64) -> None:
    for name, column in (("ordinals", ordinals), ("id_ordinals", id_ordinals)):
        if len(column) and not (first <= column[0] and column[-1] < end):
            raise ValueError(f"{name} {column[0]}..{column[-1]} are not within {first}..{end - 1}")
        if (np.diff(column) <= 0).any():
            raise ValueError(f"{name} must ascend")
    if len(ordinals) > postings.MAX_PINS or end - first > 2**32:
        raise ValueError(
            f"{len(ordinals)} pins of {end - first} ordinals; a segment takes at most "
            f"{postings.MAX_PINS} pins of 2^32 ordinals"
        )


def _words_by_band(plan: TermPlan, signatures: Signatures) -> Any:
    """(band, its words uint64 [n]) for all bands, some at a time."""
    at_once = max(1, _WORDS_AT_ONCE // max(len(signatures), 1))
    for begin in range(0, plan.bands, at_once):
        chunk = plan.words(signatures, slice(begin, begin + at_once))
        yield from enumerate(chunk, begin)


def decode_segment(
    segment_id: str,
    blocks: Mapping[str, bytes],
    allocate: Allocate = lambda name, shape, dtype: np.empty(shape, dtype),
) -> Segment:
    """Decode the blocks of a segment into arrays, checking each checksum.

    ``allocate(name, shape, dtype)`` gives the arrays to fill. Raises SegmentError, naming the
    segment and the block, if one is missing or damaged.
    """
    meta = _Opened(segment_id, blocks, "meta")
    plan, d, m = meta.meta()
    place = meta.place
    first, n = place.first, place.n

    def filled(name: str, values: npt.NDArray[Any], dtype: Any) -> npt.NDArray[Any]:
        out = allocate(name, values.shape, np.dtype(dtype))
        out[...] = values
        return out

    ordinals = _Opened(segment_id, blocks, "ordinals").list(place._replace(kind=frame.ORDINALS))
    raw = _Opened(segment_id, blocks, "signatures").array(
        place._replace(kind=frame.SIGNATURES), n * SIGNATURE_BYTES
    )
    signatures = filled("signatures", raw.reshape(n, SIGNATURE_BYTES), np.uint8)
    ids = _Opened(segment_id, blocks, "ids").array(place._replace(kind=frame.IDS), 20 * m)
    offsets = allocate("offsets", (plan.bands, (1 << d) + 1), np.dtype(np.uint32))
    entries = allocate("entries", (plan.bands, n), np.dtype(np.uint64))
    for band, words in _words_by_band(plan, signatures):
        opened = _Opened(segment_id, blocks, band_block(band))
        pins = opened.postings(place._replace(kind=frame.BAND, band=band), d).pins
        postings.pack(pins, words, plan.term_bits, offsets[band], entries[band])
    return Segment(
        segment_id=segment_id,
        first=first,
        end=place.end,
        plan=plan,
        ordinals=filled("ordinals", ordinals.astype(np.int64) + first, np.int64),
        offsets=offsets,
        entries=entries,
        signatures=signatures,
        sorted_ids=filled("sorted_ids", ids[: 16 * m].view("<u8").reshape(m, 2), np.uint64),
        id_ordinals=filled(
            "id_ordinals", ids[16 * m :].view("<u4").astype(np.int64) + first, np.int64
        ),
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

    def meta(self) -> tuple[TermPlan, int, int]:
        """Plan, directory bits and number of ids, if they and the frame agree with the id."""
        try:
            meta = json.loads(bytes(self._body))
            plan = TermPlan.from_json(meta["plan"])
            d, m, revision = (int(meta[key]) for key in ("directory_bits", "ids", "revision"))
        except (ValueError, TypeError, KeyError) as problem:
            raise self.damaged(f"its body is no meta data ({problem})") from problem
        place = self.place
        if place.kind != frame.META or place.plan != plan.version:
            raise self.damaged(f"it says {place} instead of plan {plan.version}")
        name = str(SegmentName(place.first, place.end, plan.version, revision))
        if self._segment_id != name:
            raise self.damaged(f"it is of segment {name}")
        if not max(plan.term_bits - postings.REST_BITS, 1) <= d <= plan.term_bits:
            raise self.damaged(f"{d} directory bits do not fit terms of {plan.term_bits} bits")
        return plan, d, m

    def check(self, expected: frame.Place) -> memoryview:
        """The body, if the block belongs where it was found."""
        if self.place != expected:
            raise self.damaged(f"it says {self.place} instead of {expected}")
        return self._body

    def array(self, expected: frame.Place, size: int) -> npt.NDArray[np.uint8]:
        """The body as uint8 [size]."""
        body = self.check(expected)
        if len(body) != size:
            raise self.damaged(f"its body has {len(body)} bytes instead of {size}")
        return np.frombuffer(body, np.uint8)

    def list(self, expected: frame.Place) -> npt.NDArray[np.uint32]:
        """The body as one varbyte list of n values below the length of the range."""
        data = np.frombuffer(self.check(expected), np.uint8)
        whole = np.array([0, expected.n], np.uint32)
        try:
            return decode(data, whole, max(expected.end - expected.first - 1, 0))
        except ValueError as problem:
            raise self.damaged(str(problem)) from problem

    def postings(self, expected: frame.Place, d: int) -> postings.Postings:
        """The body as postings of n pins."""
        try:
            return postings.from_body(self.check(expected), d, expected.n)
        except ValueError as problem:
            raise self.damaged(str(problem)) from problem
