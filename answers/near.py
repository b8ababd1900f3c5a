"""What the views tell of a few pins or clusters, without the rows of all the others.

`clusters_current` looks at every row of `clusters` to find the newest one of each pin. Who asks for
a few pins needs theirs only. DuckDB reads the Parquet files itself here: it skips the blocks whose
least and greatest values leave out what is asked for, which it cannot do behind Arrow.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
from duckdb import (
    ColumnExpression,
    ConstantExpression,
    DuckDBPyConnection,
    DuckDBPyRelation,
    Expression,
)

from neardup.schemas.damage import unreadable
from neardup.schemas.lake import Lake
from neardup.schemas.tables import TABLES
from neardup.schemas.views import CURRENT_GENERATION, VIEWS

_MEMORY = "1GB"  # however large the lake: DuckDB puts on disk what does not fit


@contextmanager
def near(
    lake: Lake, column: str, values: Sequence[int] | Sequence[str]
) -> Iterator[DuckDBPyConnection]:
    """A connection with the tables `pins` and `generations`, and with the views as far as they tell
    of these ``values`` of a ``column`` of `clusters_current`: pin_id, ordinal or cluster_id.

    Raises LakeError over damaged files.
    """
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        connection.execute("SET temp_directory = $folder", {"folder": folder})
        try:
            for name in ("pins", "generations"):
                _rows(connection, lake, name).create_view(name)
            _narrow(connection, _rows(connection, lake, "clusters"), column, values)
            yield connection
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            raise unreadable(lake.path, error) from error


def _rows(connection: DuckDBPyConnection, lake: Lake, name: str) -> DuckDBPyRelation:
    """Of the newest snapshot of a table."""
    files = lake.table(name).file_uris()
    if not files:
        return connection.from_arrow(TABLES[name].schema.empty_table())
    # By name: a file that is older than a column has none of it.
    return connection.read_parquet(files, union_by_name=True, hive_partitioning=True)


def _narrow(
    connection: DuckDBPyConnection,
    memberships: DuckDBPyRelation,
    column: str,
    values: Sequence[int] | Sequence[str],
) -> None:
    """Make `clusters` and the views over it, as far as they tell of these values.

    That takes all rows of the pins that ever had one of them, which say where a pin is now, and of
    the clusters that these were in, which say who heads one.
    """
    (generation,) = connection.execute(CURRENT_GENERATION).fetchall()[0]
    present = memberships.filter(_among("generation", [generation]))
    asked = _among(column, values)
    pins = _among("pin_id", _distinct(present.filter(asked), "pin_id"))
    clusters = _among("cluster_id", _distinct(present.filter(pins), "cluster_id"))
    present.filter(pins).union(present.filter(clusters)).distinct().create("clusters")
    connection.sql(VIEWS["clusters_current"]).filter(asked).create("clusters_current")
    for name in ("cluster_sizes", "cluster_best"):
        connection.execute(f"CREATE VIEW {name} AS {VIEWS[name]}")


def _distinct(rows: DuckDBPyRelation, column: str) -> list[Any]:
    found = rows.project(column).distinct().fetchall()
    return [value for (value,) in found if value is not None]


def _among(column: str, values: Sequence[int] | Sequence[str]) -> Expression:
    """A condition that DuckDB compares with the statistics of each block before it reads one."""
    if not values:
        return ConstantExpression(False)
    return ColumnExpression(column).isin(*map(ConstantExpression, values))
