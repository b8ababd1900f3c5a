"""What is wrong with a table's files, and what was in them as far as the log tells.

Reads only. A table of Delta is a log (``_delta_log``) and the data files that it names; either can
be lost, cut off or overwritten by a disk, a copy that ended early, or a person.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from neardup.schemas.errors import LakeError
from neardup.schemas.tables import TABLES

UNREADABLE = (DeltaError, OSError, pa.ArrowException)
"""What the libraries raise over a damaged file."""

_COMMIT = re.compile(r"\d{20}\.json")


@dataclass(frozen=True)
class LostFile:
    """A data file that cannot be read. ``rows`` and ``bounds`` (column -> least, greatest) are what
    the log says of it; ``partition``: its partition's values, as text."""

    path: Path
    said: str
    rows: int | None = None
    bounds: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    partition: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        spans = [
            f"{name} {least} to {greatest}" if least != greatest else f"{name} {least}"
            for name, (least, greatest) in self.bounds.items()
        ]
        spans += [f"{name} {value}" for name, value in self.partition.items()]
        held = f"; it held {self.rows:,} rows" if self.rows is not None else ""
        return f"{self.path}: {self.said}{held}{''.join(f', {span}' for span in spans)}"


@dataclass(frozen=True)
class Damage:
    """Of one table. ``log``: the file of the log that is wrong, and how; None: the log is whole."""

    table: str
    log: str | None = None
    files: tuple[LostFile, ...] = ()

    def __str__(self) -> str:
        return "\n".join([*([self.log] if self.log else []), *map(str, self.files)])


def damage(lake: Path, deep: bool = False) -> list[Damage]:
    """What is wrong with the tables that a lake has. ``deep``: every byte is read, not footers."""
    found = (table_damage(lake, name, deep) for name in TABLES if (lake / name).exists())
    return [one for one in found if one is not None]


def table_damage(lake: Path, name: str, deep: bool = False) -> Damage | None:
    """What is wrong with a table's files; None if all is well."""
    folder = lake / name
    table = opened(folder)
    if isinstance(table, str):
        files = [_lost(file, deep) for file in sorted(folder.rglob("*.parquet")) if is_data(file)]
        return Damage(name, table, tuple(file for file in files if file))
    lost = tuple(lost_files(table, deep))
    return Damage(name, files=lost) if lost else None


def opened(folder: Path) -> DeltaTable | str:
    """The table in a folder; if it does not open, which file of its log is damaged, and how."""
    log = folder / "_delta_log"
    commits = sorted(log.glob("*.json"))
    for commit in commits[-1:]:
        if not commit.stat().st_size:  # delta-rs takes it for a commit of nothing
            return f"{commit}: it is empty"
    try:
        return DeltaTable(str(folder))
    except UNREADABLE as error:
        return _broken(log, commits) or f"{log}: {first_line(error)}"


def _broken(log: Path, commits: list[Path]) -> str | None:
    """The first file of a log that cannot be right."""
    for checkpoint in sorted(log.glob("*.checkpoint*.parquet")):
        lost = _lost(checkpoint, deep=True)
        if lost:
            return str(lost)
    before = None
    for commit in commits:
        if not _COMMIT.fullmatch(commit.name):
            continue
        number = int(commit.stem)
        if before is not None and number != before + 1:
            return f"{log / f'{before + 1:020d}.json'}: it is missing"
        try:
            for line in commit.read_text("utf-8").splitlines():
                json.loads(line)
        except (OSError, ValueError) as error:
            return f"{commit}: {first_line(error)}"
        before = number
    return f"{log}: its checkpoint or its first commit is missing" if commits else None


def lost_files(table: DeltaTable, deep: bool = False) -> Iterator[LostFile]:
    """The data files of a table's snapshot that are missing, cut off or overwritten."""
    actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    for uri, action in zip(table.file_uris(), actions, strict=True):
        path, size = Path(uri), action["size_bytes"]
        found = _lost(path, deep)
        if found is None and path.stat().st_size != size:
            found = _lost_file(path, f"it has {path.stat().st_size} bytes, not {size}")
        if found is None:
            continue
        bounds = {
            name.removeprefix("min."): (least, action[f"max.{name.removeprefix('min.')}"])
            for name, least in action.items()
            if name.startswith("min.") and isinstance(least, int)
        }
        yield replace(found, rows=action["num_records"], bounds=bounds)


def _lost(path: Path, deep: bool) -> LostFile | None:
    """Whether a Parquet file cannot be read."""
    if not path.is_file():
        return _lost_file(path, "it is missing")
    try:
        with pq.ParquetFile(path) as file:
            for _ in file.iter_batches() if deep else ():
                pass
    except (pa.ArrowException, OSError) as error:
        return _lost_file(path, f"it cannot be read: {first_line(error)}")
    return None


def _lost_file(path: Path, said: str) -> LostFile:
    partition = dict(part.split("=", 1) for part in path.parent.parts if "=" in part)
    return LostFile(path, said, partition=partition)


def is_data(file: Path) -> bool:
    """Whether a Parquet file holds rows, not a checkpoint of the log."""
    return "_delta_log" not in file.parts and not file.name.startswith((".", "_"))


def unreadable(lake: Path, error: Exception, name: str | None = None) -> LakeError:
    """A sentence about an error that came up while a table (any, if None) was read or written."""
    said = storage(error, lake)
    if said:
        return LakeError(said)
    tables = [name] if name else [one for one in TABLES if (lake / one).exists()]
    for one in tables:
        found = table_damage(lake, one) or table_damage(lake, one, deep=True)
        if found:
            return LakeError(
                f"The table {one} in {lake} is damaged. {found}. Stop what writes to the lake and "
                "run `neardup repair --dry-run`: it says what can be made again."
            )
    return LakeError(f"The tables in {lake} cannot be read or written: {first_line(error)}")


def storage(error: Exception, *folders: Path) -> str | None:
    """A sentence if an error says that a disk is full or may not be written; else None.

    ``folders``: what was written to, one of them; the one with least room is to blame.
    """
    words = str(error)
    if any(word in words for word in ("No space left", "Disk quota exceeded", "not enough space")):
        free, folder = min((_free(folder), folder) for folder in folders)
        return (
            f"There is no room for what was to be written to {folder} ({first_line(error)}): "
            f"{free / 2**20:,.1f} MiB are free there. Nothing is lost: free some space, or have it "
            "on a larger disk, and start again."
        )
    if any(word in words for word in ("Read-only file system", "Permission denied")):
        where = ", ".join(map(str, folders))
        return (
            f"{where} may not be written ({first_line(error)}): see how it is mounted and whose it "
            "is. Nothing is lost; start again when it may."
        )
    return None


def _free(folder: Path) -> int:
    """Bytes that may be written below a folder, or where it would be."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    found = os.statvfs(there)
    return found.f_bavail * found.f_frsize


def first_line(error: Exception) -> str:
    """What an error says, without the stack that native libraries add to it."""
    text = str(error).strip() or type(error).__name__
    return re.sub(r"\x1b\[[\d;]*m", "", text.splitlines()[0]).rstrip(". ")
