"""Columns of ids and embeddings as events of the contract: what is wanted, and what fits.

What is wrong with a whole column is said before anything is read. What is wrong with a row is left
to the checks that every event meets, so it is quarantined for the same reasons.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.types as kinds

from neardup.models.hasher import Hasher
from neardup.schemas.errors import SourceError
from neardup.streaming.sources import RECORDS, record

Fits = Callable[[pa.DataType], bool]


@dataclass(frozen=True)
class Columns:
    """The names of the two columns that must be there."""

    pin_id: str = "pin_id"
    embedding: str = "embedding"

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are read, where they are."""
        return (self.pin_id, self.embedding, *OPTIONAL)


def check_columns(path: Path, schema: pa.Schema, columns: Columns, hasher: Hasher) -> None:
    """Raise SourceError unless rows of ``schema``, from the file at ``path``, can become events."""
    required: tuple[tuple[str, str, Fits, str], ...] = (
        ("--id-column", columns.pin_id, _is_id, "strings or integers"),
        ("--embedding-column", columns.embedding, _is_embedding, "lists of floats, or binary"),
    )
    for option, name, fits, wanted in required:
        if name not in schema.names:
            raise SourceError(
                f"{path} has no column {name!r}, it has {', '.join(schema.names)}: "
                f"name the right one with {option}."
            )
        _require(path, schema, name, fits, wanted)
    _check_length(path, schema.field(columns.embedding).type, columns.embedding, hasher)
    for name, (fits, wanted) in OPTIONAL.items():
        if name in schema.names and not _is(schema.field(name).type, kinds.is_null):
            _require(path, schema, name, fits, wanted)


def _require(path: Path, schema: pa.Schema, name: str, fits: Fits, wanted: str) -> None:
    kind = schema.field(name).type
    if not fits(kind):
        raise SourceError(
            f"Column {name!r} of {path} is {kind}; {wanted} are needed: cast it, or rename it if "
            "it is something else."
        )


def _check_length(path: Path, kind: pa.DataType, name: str, hasher: Hasher) -> None:
    length = hasher.dim
    if kinds.is_fixed_size_list(kind):
        length = kind.list_size
    if kinds.is_fixed_size_binary(kind):
        length = kind.byte_width // 4
    if length != hasher.dim:
        raise SourceError(
            f"Column {name!r} of {path} holds {length} values a row; the hasher {hasher.version} "
            f"takes {hasher.dim} of {hasher.embedder!r}: train a hasher for these embeddings, or "
            "set models.hasher to theirs."
        )


def _is(kind: pa.DataType, *any_of: Fits) -> bool:
    return any(fits(kind) for fits in any_of)


def _is_text(kind: pa.DataType) -> bool:
    if kinds.is_dictionary(kind):
        kind = kind.value_type
    return _is(kind, kinds.is_string, kinds.is_large_string, kinds.is_string_view)


def _is_id(kind: pa.DataType) -> bool:
    return _is_text(kind) or _is(kind, kinds.is_integer)


def _is_list(kind: pa.DataType) -> bool:
    return _is(kind, kinds.is_list, kinds.is_large_list, kinds.is_fixed_size_list)


def _is_bytes(kind: pa.DataType) -> bool:
    return _is(kind, kinds.is_binary, kinds.is_large_binary, kinds.is_fixed_size_binary)


def _is_embedding(kind: pa.DataType) -> bool:
    return _is_bytes(kind) or (_is_list(kind) and _is(kind.value_type, kinds.is_floating))


def _is_time(kind: pa.DataType) -> bool:
    return _is(kind, kinds.is_timestamp, kinds.is_date)


def _is_text_map(kind: pa.DataType) -> bool:
    return _is(kind, kinds.is_map) and _is_text(kind.key_type) and _is_text(kind.item_type)


OPTIONAL: dict[str, tuple[Fits, str]] = {
    "created_at": (_is_time, "timestamps or dates"),
    "source": (_is_text, "strings"),
    "width": (kinds.is_integer, "integers"),
    "height": (kinds.is_integer, "integers"),
    "attributes": (_is_text_map, "maps from string to string"),
}
"""Further fields of an event, read where a column has their name."""


def events(
    rows: pa.RecordBatch, columns: Columns, model: str, part: int, first: int, modified: datetime
) -> pa.RecordBatch:
    """Rows as RECORDS with offsets from ``first`` on.

    ``model``: the network that the embeddings are of. ``modified``: when the file was written, the
    time of rows without ``created_at``.
    """
    ids = rows.column(columns.pin_id).cast(pa.string()).to_pylist()
    vectors = _vectors(rows.column(columns.embedding))
    others = {name: _values(name, rows) for name in OPTIONAL if name in rows.schema.names}
    records = []
    for i, (pin_id, vector) in enumerate(zip(ids, vectors, strict=True)):
        fields = {"pin_id": pin_id, "created_at": modified}
        fields |= {name: values[i] for name, values in others.items() if values[i] is not None}
        if vector is not None:
            fields["embedding"] = {"model": model, "dtype": "float32", "data": vector}
        key = None if pin_id is None else pin_id.encode()
        records.append(record(fields, key, part, first + i, modified))
    return pa.RecordBatch.from_pylist(records, schema=RECORDS)


def _vectors(column: pa.Array) -> list[bytes | None]:
    """Each row's values as little-endian float32; None where there is no list."""
    if _is_bytes(column.type):
        found: list[bytes | None] = column.to_pylist()
        return found
    lists = column.cast(pa.large_list(pa.float32()))
    values = lists.values.to_numpy(zero_copy_only=False).astype("<f4", copy=False)  # null: NaN
    ends = lists.offsets.to_numpy().tolist()
    valid = lists.is_valid().to_pylist()
    return [
        values[ends[i] : ends[i + 1]].tobytes() if valid[i] else None for i in range(len(lists))
    ]


def _values(name: str, rows: pa.RecordBatch) -> list[Any]:
    column = rows.column(name)
    if name == "created_at":
        # As text, so that a year that Python does not know is one bad row. Arrow's zoned text
        # would need the machine's time zones.
        text = column.cast(pa.timestamp("us"), safe=False).cast(pa.string()).to_pylist()
        return [None if time is None else f"{time}Z" for time in text]
    if name == "attributes":
        return [None if pairs is None else dict(pairs) for pairs in column.to_pylist()]
    values: list[Any] = column.to_pylist()
    return values
