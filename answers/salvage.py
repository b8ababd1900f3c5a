"""A damaged table is written anew beside, from what can be read, and then takes its place.

The damaged one, whole, is set aside: nothing is ever deleted. A kill at any moment is harmless: a
table that was not finished is begun again, one that was is put in its place by the next run.
"""

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from neardup.schemas.damage import Damage, is_data
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import write_table
from neardup.schemas.tables import TABLES

_BESIDE = "_repair"
_ASIDE = "_damaged"
_DONE = "done.json"

_POSITION = ("topic_id", "partition", '"offset"')
_KEYS = {
    "pins": _POSITION,
    "quarantine": _POSITION,
    "segments": ("segment_id", "block"),
    "clusters": ("generation", "batch_seq", "pin_id"),
}
"""What names a row; of other tables the whole row does. With a damaged log the files of a
compaction and those that it replaced are both read."""


def new_aside(lake: Path) -> Path:
    """Where this repair sets damaged tables aside."""
    return lake / _ASIDE / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def salvage(lake: Path, found: Damage, aside: Path, where: str = "true") -> None:
    """Write a table anew from its readable rows for which ``where`` holds.

    Raises LakeError, and changes nothing, if files contradict one another.
    """
    files = _readable(lake / found.table, found)
    with _reading(lake, found.table, files) as connection:
        rows = f"SELECT * FROM salvaged WHERE {where}"
        if found.log:
            rows = _each_once(connection, lake / found.table, found.table, rows)
        reader = connection.execute(rows).to_arrow_reader(65_536)
        replace(lake, found.table, [reader], aside)


def replace(
    lake: Path, name: str, parts: Iterable[pa.RecordBatchReader | pa.Table], aside: Path
) -> None:
    """Put a new table with these rows, one commit a part, in the place of another, which is set
    aside."""
    beside = lake / _BESIDE / name
    shutil.rmtree(beside, ignore_errors=True)
    write_table(beside, TABLES[name], parts)
    (lake / _BESIDE / f"{name}.{_DONE}").write_text(json.dumps(str(aside)), "utf-8")
    _swap(lake, name, aside)


def finish(lake: Path) -> set[str]:
    """Put tables in their places whose repair was killed in the middle of that; which ones."""
    finished = set()
    for done in sorted((lake / _BESIDE).glob(f"*.{_DONE}")):
        name = done.name.removesuffix(f".{_DONE}")
        _swap(lake, name, Path(json.loads(done.read_text("utf-8"))))
        finished.add(name)
    shutil.rmtree(lake / _BESIDE, ignore_errors=True)
    return finished


def _swap(lake: Path, name: str, aside: Path) -> None:
    beside, place = lake / _BESIDE / name, lake / name
    aside.mkdir(parents=True, exist_ok=True)
    if beside.exists():
        if place.exists():
            place.rename(aside / name)
        beside.rename(place)
    (lake / _BESIDE / f"{name}.{_DONE}").unlink()


def _readable(folder: Path, found: Damage) -> list[Path]:
    lost = {file.path for file in found.files}
    if found.log:
        every = [file for file in folder.rglob("*.parquet") if is_data(file)]
    else:
        every = [Path(uri) for uri in DeltaTable(str(folder)).file_uris()]
    return sorted(file for file in every if file not in lost)


@contextmanager
def _reading(lake: Path, name: str, files: list[Path]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in which the view ``salvaged`` is the rows of the files."""
    spec = TABLES[name]
    with tempfile.TemporaryDirectory(prefix="neardup-repair-") as directory:
        connection = duckdb.connect(str(Path(directory) / "repair.duckdb"))
        connection.execute(f"SET memory_limit = '1GB'; SET temp_directory = '{directory}'")
        connection.execute("SET TimeZone = 'UTC'")
        try:
            if files:
                source = connection.read_parquet(
                    [str(file) for file in files],
                    hive_partitioning=False,
                    filename=True,
                    union_by_name=True,
                )
                source.create_view("files")
                connection.execute(
                    f"CREATE VIEW salvaged AS SELECT {_columns(name, source.columns)} FROM files"
                )
            else:
                connection.register("salvaged", spec.schema.empty_table())
            yield connection
        finally:
            connection.close()


def _columns(name: str, stored: list[str]) -> str:
    """The columns of a table; those that it is partitioned by stand in the paths of its files, and
    files of an older format lack some."""
    spec = TABLES[name]
    columns = []
    for field in spec.schema:
        if field.name not in spec.partition_by:
            nothing = "NULL::BLOB" if pa.types.is_binary(field.type) else "NULL"
            absent = "" if field.name in stored else f"{nothing} AS "
            columns.append(f'{absent}"{field.name}"')
            continue
        text = f"regexp_extract(filename, '/{field.name}=([^/]*)/', 1)"
        kind = "BIGINT" if pa.types.is_integer(field.type) else "VARCHAR"
        columns.append(f'CAST({text} AS {kind}) AS "{field.name}"')
    return ", ".join(columns)


def _each_once(connection: duckdb.DuckDBPyConnection, folder: Path, name: str, rows: str) -> str:
    """A query for the same rows, each once."""
    distinct = f"SELECT DISTINCT * FROM ({rows})"
    key = _KEYS.get(name)
    if key is None:
        return distinct
    names = ", ".join(key)
    several = connection.execute(
        f"SELECT {names} FROM ({distinct}) GROUP BY {names} HAVING count(*) > 1 LIMIT 1"
    ).fetchone()
    if several is not None:
        raise LakeError(
            f"The files in {folder} contradict one another: ({names}) = {several} has different "
            "rows, and the log that says which one counts is damaged. Restore the table from a "
            "backup."
        )
    return distinct
