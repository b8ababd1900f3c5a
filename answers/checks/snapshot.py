"""The tables at one moment, for checks: DuckDB over them, within a limit of memory.

A stream may run meanwhile. It commits `pins` before `clusters` and `segments`, so those are read
first: whatever they hold is in the `pins` that are read after them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable

from neardup.schemas.lake import Lake
from neardup.schemas.views import CURRENT_GENERATION, covered

Int64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

EXAMPLES = 5
NEVER = np.iinfo(np.int64).max
ROWS_AT_ONCE = 65_536

READ_ORDER = (
    "generations",
    "cluster_history",
    "clusters",
    "models",
    "plans",
    "segments",
    "quarantine",
    "losses",
    "pins",
    "overrides",
)

_LOG = """
CREATE TABLE log AS SELECT
    row_number() OVER (ORDER BY batch_seq, partition, "offset") - 1 AS place,
    pin_id, kind, ordinal, previous, exemplar, batch_seq, topic_id, partition, "offset"
FROM pins
"""


@dataclass(frozen=True)
class Violations:
    """How many rows break a rule, and the first few of them."""

    count: int
    examples: list[dict[str, Any]]


NONE = Violations(0, [])


class Lives(NamedTuple):
    """When pin versions lived, by ordinal int64 [n]: the places in the log at which each was added
    and ended; -1 if it never was added, NEVER if it did not end."""

    added: Int64
    ended: Int64


class Snapshot:
    """The tables of a lake as they are now. ``directory``: for what does not fit in ``memory``."""

    def __init__(self, lake: Lake, directory: Path, memory: str) -> None:
        self.path = lake.path
        self.directory = directory
        self._tables = {name: DeltaTable(str(lake.path / name)) for name in READ_ORDER}
        self._connection = duckdb.connect(str(directory / "verify.duckdb"))
        self._connection.execute(f"SET memory_limit = '{memory}'")
        self._connection.execute(f"SET temp_directory = '{directory}'")
        for name in READ_ORDER:
            self._connection.register(name, self.dataset(name))

    def close(self) -> None:
        self._connection.close()

    def table(self, name: str) -> DeltaTable:
        """A table at the moment of this snapshot."""
        return self._tables[name]

    def dataset(self, name: str) -> ds.Dataset:
        return self._tables[name].to_pyarrow_dataset()

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Run SQL over the tables; one dict a row."""
        rows: list[dict[str, Any]] = self._connection.sql(query).to_arrow_table().to_pylist()
        return rows

    def value(self, query: str) -> Any:
        """The one value of a query."""
        row = self._connection.sql(query).fetchone()
        assert row is not None
        return row[0]

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        """The rows of a query, in its order, some at a time."""
        yield from self._connection.cursor().execute(query).to_arrow_reader(ROWS_AT_ONCE)

    def offenders(self, query: str) -> Violations:
        """The rows of a query that finds what breaks a rule."""
        rows = self.rows(f"SELECT *, count(*) OVER () AS _count FROM ({query}) LIMIT {EXAMPLES}")
        if not rows:
            return NONE
        return Violations(
            rows[0]["_count"],
            [{key: value for key, value in row.items() if key != "_count"} for row in rows],
        )

    @cached_property
    def log(self) -> str:
        """The name of a table of the log's narrow columns, and of each row's place in its order."""
        self._connection.execute(_LOG)
        return "log"

    @cached_property
    def pins(self) -> int:
        """Pin versions: one past the last ordinal, if ordinals are dense."""
        return int(self.value(f"SELECT count(*) FROM {self.log} WHERE kind = 'add'"))

    @cached_property
    def lives(self) -> Lives:
        """When each pin version lived; 16 bytes a pin. Ordinals beyond 0..n-1 are left out."""
        added, ended = np.full(self.pins, -1), np.full(self.pins, NEVER)
        for array, column, kinds in (
            (added, "ordinal", "('add')"),
            (ended, "previous", "('add', 'delete')"),
        ):
            query = f"""SELECT {column} AS ordinal, place FROM {self.log}
            WHERE kind IN {kinds} AND {column} BETWEEN 0 AND {self.pins - 1}"""
            for batch in self.batches(query):
                array[batch["ordinal"].to_numpy()] = batch["place"].to_numpy()
        return Lives(added, ended)

    @cached_property
    def generation(self) -> int | None:
        """The generation that readers see; None if none is published."""
        current: int | None = self.value(CURRENT_GENERATION)
        return current

    @cached_property
    def through(self) -> int:
        """The last batch whose memberships are all in `clusters` for that generation; -1: none."""
        return int(self.value(covered(str(self.generation))))
