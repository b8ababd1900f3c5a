"""The one door to the tables: nothing else creates, appends to, or maintains them.

Commits go through delta-rs (``deltalake``): an append from the driver takes about 10 ms where
Spark's Delta writer takes 200, a generation of a million pins .4 s. Spark reads the same tables.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import (
    ColumnProperties,
    DeltaTable,
    PostCommitHookProperties,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction
from filelock import FileLock, Timeout
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random

from neardup.schemas.carried import Carried, carried, linked
from neardup.schemas.crash import crash_point
from neardup.schemas.damage import UNREADABLE, first_line, opened, unreadable
from neardup.schemas.errors import LakeError, SegmentError, StreamError
from neardup.schemas.fence import Fence
from neardup.schemas.tables import FORMAT_VERSION, TABLES, TableSpec
from neardup.schemas.views import VIEWS

FORMAT_KEY = "neardup.formatVersion"
_RETENTION = timedelta(hours=2)
_PROPERTIES = {
    FORMAT_KEY: str(FORMAT_VERSION),
    # Checkpoints, log cleanup and vacuum are maintenance: never on the path of a batch.
    "delta.checkpointInterval": "1000000",
    "delta.logRetentionDuration": "interval 2 hours",
    "delta.deletedFileRetentionDuration": "interval 2 hours",
}
FROM_THE_START = set(TABLES) - {"losses"}
"""Tables that every lake of this format had when it was made; later ones come with their first
use."""
FENCED = tuple(name for name in TABLES if name != "overrides")
"""What the writer of the log appends to."""
LOG_LENGTH = 64
"""Commits to a table from one checkpoint to the next. Every commit reads those since the checkpoint
at which its handle was opened: .1 ms each, beside 6 for the commit itself."""
KEPT_COMMITS = 1_024
"""Commits that stay in a log before its newest checkpoint. Every commit lists the whole log, 2 us a
file; a reader of changes may be so far behind (nine minutes at two batches a second), one of rows
as far as the retention of data files lets it."""
_NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
# Rows of a file in blocks that a reader can skip: a few of a million memberships cost .02 s, where
# one block costs .2. Hardly a value comes twice, so dictionaries tripled the size of small blocks.
_BLOCKS: dict[str, Any] = {
    "max_row_group_size": 65_536,
    "default_column_properties": ColumnProperties(dictionary_enabled=False),
    # Least and greatest value of each block. Whole, those of a segment's payload were 30 % of it.
    "statistics_truncate_length": 64,
}
_APPENDED = WriterProperties(**_BLOCKS)
_COMPACTED = WriterProperties(**_BLOCKS, compression="ZSTD", compression_level=4)
_SMALL, _LARGE = 8 * 2**20, 100 * 2**20
_again = retry(
    retry=retry_if_exception_type(CommitFailedError),
    stop=stop_after_attempt(20),
    wait=wait_random(0, 0.2),
    reraise=True,
)
"""For commits: another one was first, and Delta cannot tell that it does not matter."""


class Lake:
    """The Delta tables below one folder. A handle is for one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open an existing lake. Raises LakeError if it is not there or of another format."""
        self.path = path
        self._tables = {name: self._open(spec) for name, spec in TABLES.items()}
        self._opened = {name: table.version() for name, table in self._tables.items()}
        self._datasets: dict[str, tuple[int, ds.Dataset]] = {}
        self._fence: Fence | None = None

    @classmethod
    def create(cls, path: Path) -> "Lake":
        """Open the lake at ``path``, creating the tables that are not there yet.

        Raises LakeError if one was there and is gone: another in its place would hide that.
        """
        with _sentences(path):
            cls._create(path)
        return cls(path)

    @staticmethod
    def _create(path: Path) -> None:
        begun = [name for name in TABLES if _has_rows(path / name)]
        for name in begun:
            if not DeltaTable.is_deltatable(str(path / name)):
                continue
            table = opened(path / name)
            if isinstance(table, DeltaTable):
                _check_format(path / name, table)
        for spec in TABLES.values():
            folder = path / spec.name
            if not DeltaTable.is_deltatable(str(folder)):
                if any(folder.rglob("*.parquet")) or (begun and spec.name in FROM_THE_START):
                    raise LakeError(
                        f"The table {spec.name} in {path} has lost its log, {folder}/_delta_log, "
                        f"or is gone, and {(*begun, spec.name)[0]} has rows. Put it back from a "
                        "backup, or run `neardup repair --dry-run`: it says what can be made again."
                    )
                create_table(folder, spec)

    def _open(self, spec: TableSpec) -> DeltaTable:
        folder = self.path / spec.name
        if not DeltaTable.is_deltatable(str(folder)):
            raise LakeError(
                f"There is no table {spec.name} in {self.path}: is lake.path right? "
                "`neardup stream` creates the tables when it starts; if it was there, "
                "`neardup repair --dry-run` says what can be done."
            )
        table = opened(folder)
        if isinstance(table, str):
            raise LakeError(
                f"The log of the table {spec.name} is damaged. {table}. Stop what writes to the "
                "lake and run `neardup repair --dry-run`: it says what can be made again."
            )
        _check_format(folder, table)
        return table

    def _log_is_long(self, name: str) -> bool:
        """As far as this handle knows it, since it was opened."""
        length: int = self._tables[name].version() - self._opened[name]
        return length >= LOG_LENGTH

    def _open_anew(self, name: str) -> None:
        self._tables[name] = self._open(TABLES[name])
        self._opened[name] = self._tables[name].version()

    def table(self, name: str) -> DeltaTable:
        """The newest snapshot of a table."""
        table = self._tables[name]
        with _sentences(self.path, name):
            table.update_incremental()
        return table

    def append(self, name: str, rows: pa.Table) -> None:
        """One commit that adds ``rows``; their schema must be the table's."""
        crash_point(f"{name}.before")
        if self._log_is_long(name):
            self._open_anew(name)
        with _sentences(self.path, name):
            self._append(name, rows.cast(_plain(TABLES[name].schema)))
        crash_point(f"{name}.after")

    @_again
    def _append(self, name: str, rows: pa.Table) -> None:
        """Rows that others deleted since this handle looked are a conflict to Delta, not to us."""
        passing = self._fence.passing(name) if self._fence else nullcontext()
        try:
            with passing as properties, _forgotten():
                write_deltalake(
                    self._tables[name],
                    rows,
                    mode="append",
                    writer_properties=_APPENDED,
                    commit_properties=properties,
                    post_commithook_properties=_NO_HOOKS,
                )
        except CommitFailedError:
            self._tables[name].update_incremental()
            raise

    def fence(self) -> None:
        """Have this handle alone append to FENCED tables: whoever did before gets a StreamError."""
        with _sentences(self.path):
            self._fence = Fence(self._tables, FENCED, _NO_HOOKS)

    def append_rows(self, name: str, rows: list[dict[str, Any]]) -> None:
        """As ``append``, from one dict a row; absent columns are null."""
        self.append(name, pa.Table.from_pylist(rows, schema=TABLES[name].schema))

    def dataset(self, name: str) -> ds.Dataset:
        """The newest snapshot as an Arrow dataset, to be filtered and scanned.

        One that was opened is kept until there is a newer: it takes a millisecond for ten files.
        Arrow reads the files itself: through delta-rs a scan takes a quarter longer.
        """
        table = self.table(name)
        version, dataset = self._datasets.get(name, (-1, None))
        if dataset is None or version != table.version():
            folder = SubTreeFileSystem(str(self.path / name), LocalFileSystem())
            dataset = table.to_pyarrow_dataset(filesystem=folder)
            self._datasets[name] = table.version(), dataset
        return dataset

    def read(
        self, name: str, columns: list[str] | None = None, where: ds.Expression | None = None
    ) -> pa.Table:
        """The rows of a table that satisfy ``where``, in no particular order."""
        with _sentences(self.path, name):
            return self.dataset(name).to_table(columns=columns, filter=where)

    def batches(self, name: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """All rows of a table, a stretch of a file at a time."""
        with _sentences(self.path, name):
            yield from self.dataset(name).to_batches(columns=columns)

    def sql(self, query: str, parameters: dict[str, Any] | None = None) -> pa.Table:
        """Run SQL (DuckDB) over the tables and the views of ``neardup.schemas.views``."""
        with self.connect() as connection, _sentences(self.path):
            return connection.sql(query, params=parameters or {}).to_arrow_table()

    def rows(self, query: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """As ``sql``, one dict a row."""
        rows: list[dict[str, Any]] = self.sql(query, parameters).to_pylist()
        return rows

    def connect(self) -> duckdb.DuckDBPyConnection:
        """An in-memory DuckDB connection in which every table and view of the lake is there."""
        connection = duckdb.connect()
        for name in TABLES:
            connection.register(name, self.dataset(name))
        for name, query in VIEWS.items():
            connection.execute(f"CREATE VIEW {name} AS {query}")
        return connection

    def current_generation(self) -> int:
        """The generation that readers see now."""
        published = self.publication()
        if published is None:
            raise LakeError(f"No generation is published in {self.path}: start `neardup stream`.")
        return published[1]

    def publication(self) -> tuple[int, int] | None:
        """Sequence and generation of the row that says what readers see now; None: there is none.

        The table `generations` alone is opened.
        """
        rows = self.read(
            "generations", ["sequence", "generation"], ds.field("status") == "published"
        ).to_pylist()
        return max(((row["sequence"], row["generation"]) for row in rows), default=None)

    def carried(self, generation: int, before: int) -> Carried:
        """The rows of a generation's batches before ``before``, for ``carry``."""
        with _sentences(self.path, "clusters"):
            return carried(self.table("clusters"), self.path / "clusters", generation, before)

    def carry(self, files: list[dict[str, Any]], generation: int) -> None:
        """One commit that gives a generation the rows of another's files, without writing them."""
        with _sentences(self.path, "clusters"):
            self._carry(linked(files, self.path / "clusters", generation))

    @_again
    def _carry(self, actions: list[AddAction]) -> None:
        table = self.table("clusters")
        table.create_write_transaction(
            actions,
            "append",
            table.schema(),
            TABLES["clusters"].partition_by,
            post_commithook_properties=_NO_HOOKS,
        )

    @_again
    def remove_generation(self, generation: int) -> None:
        """Delete the rows of a generation that was never prepared (a killed compaction's)."""
        self.table("clusters").delete(f"generation = {generation}")

    @_again
    def remove_segments(self, segment_ids: list[str]) -> None:
        """Delete the rows of segments that nobody searches any more: whole partitions."""
        names = ", ".join(f"'{segment_id}'" for segment_id in segment_ids)
        self.table("segments").delete(f"segment_id IN ({names})")

    def shorten_logs(self) -> None:
        """Write a checkpoint of the tables that every batch appends to, where they have LOG_LENGTH
        commits since this handle's last one, and forget what is older than KEPT_COMMITS; off the
        batch's path."""
        for name in ("pins", "clusters"):
            table = self.table(name)
            if self._log_is_long(name):
                table.create_checkpoint()
                self._open_anew(name)
                _forget_log(self.path / name / "_delta_log", table.version() - KEPT_COMMITS)

    def maintain(self) -> None:
        """Compact small files, write checkpoints, drop old logs and files, off the batch's path."""
        for name in TABLES:
            table = DeltaTable(str(self.path / name))
            if table.version() == 0:
                continue
            _compact(table)
            crash_point("maintenance.compacted")
            table.create_checkpoint()
            crash_point("maintenance.checkpointed")
            table.cleanup_metadata()
            crash_point("maintenance.cleaned")
            table.vacuum(
                retention_hours=int(_RETENTION / timedelta(hours=1)),
                dry_run=False,
                enforce_retention_duration=False,
                post_commithook_properties=_NO_HOOKS,
            )

    def rewrite(self, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
        """Replace all rows of a table by what ``change`` makes of them, some at a time; one commit.

        Only for legal erasure, with nobody writing: the tables grow at their end and nowhere else.
        """
        schema = _plain(TABLES[name].schema)
        changed = (
            batch
            for rows in self.dataset(name).to_batches()
            for batch in change(pa.Table.from_batches([rows]))
            .select(schema.names)
            .cast(schema)
            .to_batches()
        )
        write_deltalake(
            self._tables[name],
            pa.RecordBatchReader.from_batches(schema, changed),
            mode="overwrite",
            post_commithook_properties=_NO_HOOKS,
        )

    def erase(self) -> None:
        """Drop every file and every line of a log that the newest snapshot does not need."""
        for name in TABLES:
            table = DeltaTable(str(self.path / name))
            if table.version() == 0:
                continue
            table.vacuum(
                retention_hours=0,
                dry_run=False,
                enforce_retention_duration=False,
                post_commithook_properties=_NO_HOOKS,
                full=True,
            )
            table.update_incremental()
            table.create_checkpoint()
            # What is older holds least and greatest values.
            _forget_log(self.path / name / "_delta_log", table.version())

    def cache_directory(self) -> Path:
        """Where this host keeps decoded segments: a new lake at the same path has another."""
        identity = self._tables["segments"].metadata().id.encode()
        name = hashlib.sha256(identity).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / "neardup-segments" / name

    def lease(self, name: str) -> AbstractContextManager[None]:
        """As ``lease`` of this lake's path."""
        return lease(self.path, name)


def write_table(
    folder: Path, spec: TableSpec, parts: Iterable[pa.RecordBatchReader | pa.Table]
) -> None:
    """A new table with these rows, one commit a part."""
    table = create_table(folder, spec)
    for part in parts:
        batches = part.to_batches() if isinstance(part, pa.Table) else part
        cast = (
            piece
            for batch in batches
            for piece in pa.Table.from_batches([batch]).cast(spec.schema).to_batches()
        )
        write_deltalake(
            table,
            pa.RecordBatchReader.from_batches(spec.schema, cast),
            mode="append",
            post_commithook_properties=_NO_HOOKS,
        )


def _plain(schema: pa.Schema) -> pa.Schema:
    """Without comments: Delta refuses rows whose comments are not those that the table was made
    with, though columns and types are the same."""
    return pa.schema([field.remove_metadata() for field in schema])


def _check_format(folder: Path, table: DeltaTable) -> None:
    version = table.metadata().configuration.get(FORMAT_KEY)
    if version != str(FORMAT_VERSION):
        newer = version is not None and int(version) > FORMAT_VERSION
        raise LakeError(
            f"{folder} has format version {version}; this neardup reads {FORMAT_VERSION}: "
            + ("a newer neardup wrote it, use that." if newer else "run `neardup migrate`.")
        )


def create_table(folder: Path, spec: TableSpec) -> DeltaTable:
    """The empty table, if there is none yet."""
    folder.mkdir(parents=True, exist_ok=True)
    return DeltaTable.create(
        str(folder),
        schema=spec.schema,
        mode="ignore",
        name=spec.name,
        description=spec.row,
        partition_by=list(spec.partition_by),
        configuration=_PROPERTIES,
        raise_if_key_not_exists=False,
    )


@contextmanager
def lease(path: Path, name: str) -> Iterator[None]:
    """Hold a lake as its only ``name`` ("stream", "compact"); StreamError if it is held.

    An advisory lock of the operating system: it is free again as soon as its holder dies.
    """
    beside = " or `neardup backfill`" if name == "stream" else ""
    lock = FileLock(path / f".{name}.lock")
    try:
        with _sentences(path):
            lock.acquire(timeout=0)
    except Timeout:
        raise StreamError(
            f"Another process runs `neardup {name}`{beside} on {path}: stop it first, "
            "or give this one a lake of its own."
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _sentences(path: Path, name: str | None = None) -> Iterator[None]:
    """What storage raises over damaged files, or a full or read-only disk, becomes a LakeError."""
    try:
        yield
    except (Timeout, CommitFailedError):
        raise
    except (*UNREADABLE, duckdb.Error) as error:
        if isinstance(error, duckdb.Error) and "arrow_scan" not in str(error):
            raise  # a query that is wrong
        raise unreadable(path, error, name) from error


def _has_rows(folder: Path) -> bool:
    """Whether anything was ever committed to a table."""
    return any(folder.rglob("*.parquet"))


@_again
def _compact(table: DeltaTable) -> None:
    """Compact small files. Appends that come faster than it commits win; then it begins anew."""
    table.update_incremental()
    table.optimize.compact(
        target_size=target_size(pa.table(table.get_add_actions())["size_bytes"].to_pylist()),
        writer_properties=_COMPACTED,
        post_commithook_properties=_NO_HOOKS,
    )


def target_size(sizes: Sequence[int]) -> int:
    """Up to how many bytes the files of a table, of these sizes, are put together.

    Up to 8 MiB, and 16 such files to larger ones: with one limit for all, every minute's few rows
    had a file of 50 MB written anew, 1 to 3 s of CPU.
    """
    middling = sum(_SMALL <= size < _LARGE // 2 for size in sizes)
    return _LARGE if middling >= 16 else _SMALL


def _forget_log(folder: Path, version: int) -> None:
    """Remove what is older than the newest checkpoint up to ``version``; all that follows stays."""
    numbered = [
        (int(number), file) for file in folder.iterdir() if (number := file.stem[:20]).isdigit()
    ]
    checkpoints = (at for at, file in numbered if ".checkpoint" in file.name and at <= version)
    first = max(checkpoints, default=0)
    for at, file in numbered:
        if at < first:
            file.unlink(missing_ok=True)


@contextmanager
def _forgotten() -> Iterator[None]:
    """An append by a handle that is so old that its log is forgotten is tried again, by a newer."""
    try:
        yield
    except CommitFailedError:
        raise
    except DeltaError as error:
        if "Invalid table version" not in str(error):
            raise
        raise CommitFailedError(str(error)) from error


def segment_blocks(path: Path, segment_id: str) -> dict[str, bytes]:
    """The blocks of one segment of the lake at ``path``: name -> payload.

    Raises SegmentError if its file is lost or damaged.
    """
    try:
        rows = DeltaTable(str(path / "segments")).to_pyarrow_table(
            columns=["block", "payload"], filters=[("segment_id", "=", segment_id)]
        )
    except UNREADABLE as error:
        raise SegmentError(f"Segment {segment_id} cannot be read: {first_line(error)}.") from error
    return dict(zip(rows["block"].to_pylist(), rows["payload"].to_pylist(), strict=True))
