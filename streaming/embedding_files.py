"""Parquet files, or a Delta table, of pin ids with embeddings, as the source of a backfill."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from neardup.models.hasher import Hasher
from neardup.schemas.errors import SourceError
from neardup.streaming.columns import Columns, check_columns, events
from neardup.streaming.sources import RECORDS_AT_ONCE, Piece, fingerprint


@dataclass(frozen=True)
class DataFile:
    """A Parquet file. ``constants``: columns with one value for all rows (Delta partitions)."""

    path: Path
    rows: int
    constants: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EmbeddingFiles:
    """Rows with embeddings of the network called ``model``, in files read one after the other."""

    kind: str
    topic_id: str
    files: tuple[DataFile, ...]
    columns: Columns
    model: str
    version: int | None = None
    batch_rows: int = 10_000

    @property
    def sizes(self) -> list[int]:
        return [file.rows for file in self.files]

    def reader(self, piece: Piece) -> "FileReader":
        return FileReader(self.files[piece.part], piece, self.columns, self.model)


@dataclass(frozen=True)
class FileReader:
    """Reads some rows of one file: their row groups only, and few rows at a time."""

    file: DataFile
    piece: Piece
    columns: Columns
    model: str

    def records(self) -> Iterator[pa.RecordBatch]:
        modified = datetime.fromtimestamp(self.file.path.stat().st_mtime, UTC)
        for offset, rows in self._rows():
            table = _with_constants(rows, self.file.constants)
            yield events(table, self.columns, self.model, self.piece.part, offset, modified)

    def _rows(self) -> Iterator[tuple[int, pa.RecordBatch]]:
        """(number of the first row in the file, rows) until the piece ends."""
        with pq.ParquetFile(self.file.path) as parquet:
            groups, at = _row_groups(parquet.metadata, self.piece)
            wanted = [name for name in self.columns.names if name in parquet.schema_arrow.names]
            for batch in parquet.iter_batches(RECORDS_AT_ONCE, groups, wanted, use_threads=False):
                begin = max(self.piece.first - at, 0)
                rows = batch.slice(begin, max(self.piece.end - at - begin, 0))
                if rows.num_rows:
                    yield at + begin, rows
                at += batch.num_rows
                if at >= self.piece.end:
                    break


def _row_groups(metadata: pq.FileMetaData, piece: Piece) -> tuple[list[int], int]:
    """The row groups that hold rows of the piece, and the number of the first one's first row."""
    groups: list[int] = []
    first = begin = 0
    for group in range(metadata.num_row_groups):
        end = begin + metadata.row_group(group).num_rows
        if begin < piece.end and end > piece.first:
            first = first if groups else begin
            groups.append(group)
        begin = end
    return groups, first


def _with_constants(rows: pa.RecordBatch, constants: Mapping[str, Any]) -> pa.RecordBatch:
    for name, value in constants.items():
        rows = rows.append_column(name, pa.array([value] * rows.num_rows))
    return rows


def _schema(parquet: pq.ParquetFile, constants: Mapping[str, Any]) -> pa.Schema:
    """The columns of the rows that a FileReader makes of the file."""
    added = [pa.field(name, pa.scalar(value).type) for name, value in constants.items()]
    return pa.schema([*parquet.schema_arrow, *added])


def parquet_source(path: Path, columns: Columns, hasher: Hasher) -> EmbeddingFiles:
    """The Parquet file at ``path``, or all ``*.parquet`` below it in the order of their paths.

    Its fingerprint holds names, sizes and footers (which hold the statistics of every column), not
    where the folder lies. Raises SourceError.
    """
    found = [path] if path.is_file() else data_files(path)
    files: list[DataFile] = []
    identity: list[str | bytes | int] = [*columns.names]
    for file in found:
        metadata = _checked(file, columns, hasher, {})
        files.append(DataFile(file, metadata.num_rows))
        name = "" if file == path else file.relative_to(path).as_posix()
        identity += [name, file.stat().st_size, _footer(file, metadata)]
    kind = f"files of Parquet: {len(files)}"
    return EmbeddingFiles(kind, fingerprint(identity), tuple(files), columns, hasher.embedder)


def data_files(folder: Path) -> list[Path]:
    """The ``*.parquet`` files below a folder, without those that Spark would not read either."""
    return [
        path
        for path in sorted(folder.rglob("*.parquet"))
        if not any(name.startswith(("_", ".")) for name in path.relative_to(folder).parts)
    ]


def _footer(path: Path, metadata: pq.FileMetaData) -> bytes:
    with path.open("rb") as file:
        file.seek(-8 - metadata.serialized_size, 2)
        return file.read(metadata.serialized_size)


def delta_source(
    path: Path, columns: Columns, hasher: Hasher, version: int | None
) -> EmbeddingFiles:
    """The Delta table at ``path``, as it is now or was at ``version``. Raises SourceError."""
    try:
        table = DeltaTable(str(path), version=version)
        table.to_pyarrow_dataset()  # refuses what a plain read of the files would get wrong
        actions = pa.table(table.get_add_actions(flatten=True)).sort_by("path").to_pylist()
    except DeltaError as error:
        raise SourceError(
            f"The Delta table {path} cannot be read ({error}): write it anew without that feature; "
            "if its backfill began with a version that is gone, give --restart."
        ) from error
    files = []
    for action in actions:
        constants = {
            name.removeprefix("partition."): value
            for name, value in action.items()
            if name.startswith("partition.")
        }
        file = path / unquote(action["path"])
        metadata = _checked(file, columns, hasher, constants)
        files.append(DataFile(file, metadata.num_rows, constants))
    identity = fingerprint([*columns.names, table.metadata().id, table.version()])
    kind = f"Delta version {table.version()}, files: {len(files)}"
    return EmbeddingFiles(
        kind, identity, tuple(files), columns, hasher.embedder, version=table.version()
    )


def _checked(
    path: Path, columns: Columns, hasher: Hasher, constants: Mapping[str, Any]
) -> pq.FileMetaData:
    try:
        with pq.ParquetFile(path) as parquet:
            check_columns(path, _schema(parquet, constants), columns, hasher)
            return parquet.metadata
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(
            f"{path} cannot be read as Parquet ({error}): give a Parquet file, a folder of them, a "
            "Delta table or a folder of pictures."
        ) from None
