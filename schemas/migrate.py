"""`neardup migrate`: the tables of an older format become those of this one.

A step leads from one format version to the next, table by table. It changes the tables' logs alone:
data files stay as they are, and rows that they hold have null in columns that came later. So a copy
of the logs, which is made first, is all that is needed to go back.
"""

import shutil
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, Field, Schema

from neardup.schemas.errors import LakeError
from neardup.schemas.lake import FORMAT_KEY, create_table, lease
from neardup.schemas.tables import FORMAT_VERSION, TABLES

STEPS: dict[int, dict[str, tuple[str, ...]]] = {
    2: {
        "pins": ("file_bytes",),
        "clusters": ("component",),
        "generations": ("split", "merged", "b3_f1", "ari", "recipe"),
    },
    3: {"pins": ("looks",)},
}
"""From a format version to the next: the columns that tables gain."""

NEW_TABLES = {2: ("cluster_history", "overrides", "models", "disagreements", "losses"), 3: ()}
"""And the tables that came with it."""

LEASES = ("stream", "compact", "override")


def migrate(path: Path) -> dict[str, int]:
    """Bring the tables of a lake to this format; of each that was older, the format it had.

    It may be killed and run again. Raises LakeError if there is no lake, or one that is too old or
    too new; StreamError if somebody writes to it.
    """
    formats = {name: _format(path / name) for name in TABLES if (path / name).exists()}
    if not formats:
        raise LakeError(f"There is no lake in {path}: is lake.path right?")
    for name, version in formats.items():
        if version != FORMAT_VERSION and version not in STEPS:
            raise LakeError(
                f"{path / name} has format version {version}; this neardup brings over "
                f"{', '.join(map(str, STEPS))} to {FORMAT_VERSION}: use the neardup that wrote it."
            )
    old = {name: version for name, version in formats.items() if version != FORMAT_VERSION}
    with lease(path, LEASES[0]), lease(path, LEASES[1]), lease(path, LEASES[2]):
        for name, version in old.items():
            _keep_log(path, name, version)
        for step in range(min(old.values(), default=FORMAT_VERSION), FORMAT_VERSION):
            for name in NEW_TABLES[step]:
                create_table(path / name, TABLES[name])
        for name, version in old.items():
            for step in range(version, FORMAT_VERSION):
                _take_step(path / name, name, step)
    return old


def _format(folder: Path) -> int:
    return int(DeltaTable(str(folder)).metadata().configuration.get(FORMAT_KEY, "0"))


def _keep_log(lake: Path, name: str, version: int) -> None:
    """The copy that is there is of a run that was killed, and the older one."""
    kept = lake / "_before" / f"format-{version}" / name / "_delta_log"
    if not kept.exists():
        part = kept.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(lake / name / "_delta_log", part)
        part.rename(kept)


def _take_step(folder: Path, name: str, step: int) -> None:
    """Add the columns that are not there yet, then say that the table is of the next format."""
    table = DeltaTable(str(folder))
    there = {field.name for field in table.schema().fields}
    wanted = [column for column in STEPS[step].get(name, ()) if column not in there]
    if wanted:
        table.alter.add_columns(fields_of(name, wanted))
    table.alter.set_table_properties({FORMAT_KEY: str(step + 1)}, raise_if_not_exists=False)


def fields_of(name: str, columns: list[str]) -> list[Field]:
    """Columns of a table as Delta knows them; all of them may be null."""
    schema = pa.schema([TABLES[name].schema.field(column) for column in columns])
    fields: list[Field] = Schema.from_arrow(schema).fields
    return fields
