"""What a backfill reads: the rows of a corpus, numbered, as the records that Kafka would bring.

A source is a list of parts (files) of known sizes in a fixed order. A row's source position is
(topic id, partition, offset) as a Kafka record's is: the source's fingerprint, the number of the
part, the row in it. So what is decided is known after a kill, and reading a row again adds nothing.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
import pyarrow as pa

from neardup.schemas.tables import MICROSECONDS

RECORDS = pa.schema(
    [
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("timestamp", MICROSECONDS),
    ]
)
"""Kafka's columns: whatever checks an event of the stream checks a row of a corpus."""

BACKFILL = "backfill:"
"""How the topic id of rows begins that came from no topic."""

RECORDS_AT_ONCE = 256


class Piece(NamedTuple):
    """Rows ``first`` to ``end``, exclusive, of part number ``part``."""

    part: int
    first: int
    end: int


class Reader(Protocol):
    """Reads a piece on an executor: small, and picklable."""

    def records(self) -> Iterator[pa.RecordBatch]:
        """The rows of the piece in order, as RECORDS."""
        ...


class Source(Protocol):
    """A corpus.

    ``kind``: what it is, for people. ``version``: of a Delta table. ``sizes``: rows by part.
    ``batch_rows``: how many rows one micro-batch takes well.
    """

    @property
    def topic_id(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def version(self) -> int | None: ...

    @property
    def batch_rows(self) -> int: ...

    @property
    def sizes(self) -> Sequence[int]: ...

    def reader(self, piece: Piece) -> Reader: ...


def fingerprint(names: Iterable[str | bytes | int]) -> str:
    """A topic id from everything that tells this corpus from another one, in a fixed order."""
    digest = hashlib.sha256(msgspec.json.encode(list(names)))
    return BACKFILL + digest.hexdigest()[:32]


def is_backfill(topic_id: str) -> bool:
    """Whether rows with this topic id came from a corpus, not from a topic."""
    return topic_id.startswith(BACKFILL)


def pieces(sizes: Sequence[int], begin: int, end: int) -> list[Piece]:
    """The pieces that hold rows ``begin`` to ``end``, exclusive, of all parts laid end to end."""
    ends = np.cumsum(sizes, dtype=np.int64)
    found = []
    while begin < end:
        part = int(np.searchsorted(ends, begin, side="right"))
        start = int(ends[part]) - sizes[part]
        stop = min(end, int(ends[part]))
        found.append(Piece(part, begin - start, stop - start))
        begin = stop
    return found


def shares(begin: int, end: int, count: int) -> list[tuple[int, int]]:
    """``begin`` to ``end`` in at most ``count`` ranges that follow one another, of nearly the same
    length and none of them empty."""
    count = min(count, end - begin)
    marks = [begin + (end - begin) * i // count for i in range(count + 1)] if count > 0 else []
    return list(pairwise(marks))


def rows_decided(
    sizes: Sequence[int],
    positions: Mapping[int, int],
    refused: Collection[tuple[int, int]] = frozenset(),
) -> int:
    """How many rows of all parts laid end to end need not be looked at again.

    ``positions``: part -> last offset in the log; batches are committed in order, so all before the
    last one is decided. ``refused``: (part, offset) of rows in quarantine; those that follow the
    last one without a gap are decided too.
    """
    part = max(positions, default=0)
    row = positions.get(part, -1) + 1
    before = sum(sizes[:part])
    while part < len(sizes):
        if row == sizes[part]:
            before, part, row = before + row, part + 1, 0
        elif (part, row) in refused:
            row += 1
        else:
            break
    return before + row


def record(
    fields: Mapping[str, Any], key: bytes | None, part: int, offset: int, time: datetime
) -> dict[str, Any]:
    """A row of RECORDS whose value is the event with these fields."""
    return {
        "key": key,
        "value": msgspec.json.encode(fields),
        "partition": part,
        "offset": offset,
        "timestamp": time,
    }
