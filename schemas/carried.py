"""A generation begins with most rows of the one before: with its files, under second names.

Each generation is a partition of `clusters`, and the path of a file says to which one it belongs. A
hard link is such a path: it costs no room, and the file is there until its last name is removed.
Where the file system has none, the file is copied.
"""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.transaction import AddAction

from neardup.schemas.tables import CLUSTERS


class Carried(NamedTuple):
    """The rows of a generation's batches before one.

    ``files``: what the log says of files that hold nothing else; ``rows``: those from other files,
    without the column that says to which generation they belong.
    """

    files: list[dict[str, Any]]
    rows: pa.Table

    @property
    def total(self) -> int:
        """How many rows these are."""
        return len(self.rows) + sum(int(file["num_records"]) for file in self.files)


def carried(table: DeltaTable, folder: Path, generation: int, before: int) -> Carried:
    """What the next generation can begin with; ``folder``: the table's."""
    actions = pa.table(table.get_add_actions()).to_pylist()
    files: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for action in actions:
        if action["partition"]["generation"] != generation or action["min"]["batch_seq"] >= before:
            continue
        (files if action["max"]["batch_seq"] < before else others).append(action)
    stored = pa.schema([field for field in CLUSTERS.schema if field.name != "generation"])
    rows = [pq.ParquetFile(folder / file["path"]).read().cast(stored) for file in others]
    mixed = pa.concat_tables([stored.empty_table(), *rows])
    return Carried(files, mixed.filter(pc.field("batch_seq") < before))


def linked(files: list[dict[str, Any]], folder: Path, generation: int) -> list[AddAction]:
    """Second names of files as files of this generation, and what the log must say of them."""
    partition = f"generation={generation}"
    (folder / partition).mkdir(exist_ok=True)
    actions = []
    for file in files:
        path = f"{partition}/{uuid4()}.parquet"
        _link(folder / file["path"], folder / path)
        stats = {
            "numRecords": file["num_records"],
            "minValues": _known(file["min"]),
            "maxValues": _known(file["max"]),
            "nullCount": file["null_count"],
        }
        actions.append(
            AddAction(
                path,
                file["size_bytes"],
                {"generation": str(generation)},
                file["modification_time"],
                data_change=True,
                stats=json.dumps(stats),
            )
        )
    return actions


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _link(file: Path, name: Path) -> None:
    with suppress(OSError):  # no links here, or the file has as many as it can have
        return os.link(file, name)
    shutil.copyfile(file, name)
