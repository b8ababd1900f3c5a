"""What the views tell of a few pins or clusters, without the rows of all the others.

`clusters_current` looks at every row of `clusters` to find the newest one of each pin. Who asks for
a few pins needs theirs only. DuckDB reads the Parquet files itself here: it skips the blocks whose
least and greatest values leave out what is asked for, which it cannot do behind Arrow.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb
from duckdb import (
    ColumnExpression,
    ConstantExpression,
    DuckDBPyConnection,
    DuckDBPyRelation,
)

from neardup.schemas.damage import unreadable
from neardup.schemas.lake import Lake
from neardup.schemas.tables import TABLES
from neardup.schemas.views import CURRENT_GENERATION, VIEWS

FEW = 1_000
"""So many constants DuckDB compares with the statistics of each block; more are joined."""
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
    rows = connection.read_parquet(files, union_by_name=True, hive_partitioning=True)
    if set(TABLES[name].schema.names) <= set(rows.columns):
        return rows
    connection.from_arrow(TABLES[name].schema.empty_table()).create_view("columns")
    return rows.query("rows", "FROM rows UNION ALL BY NAME FROM columns")  # of a migrated lake


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
    present = memberships.filter(ColumnExpression("generation") == ConstantExpression(generation))
    kind = "VARCHAR" if column == "pin_id" else "BIGINT"
    connection.execute(f"CREATE TABLE asked AS SELECT unnest($1::{kind}[]) AS {column}", [values])
    asked = connection.table("asked")
    _among(present, asked, column).project("pin_id").distinct().create("named")
    pins = _among(present, connection.table("named"), "pin_id")
    pins.filter("cluster_id IS NOT NULL").project("cluster_id").distinct().create("grouped")
    groups = _among(present, connection.table("grouped"), "cluster_id")
    pins.union(groups).distinct().create("clusters")
    current = connection.sql(VIEWS["clusters_current"])
    _among(current, asked, column).create("clusters_current")
    for name in ("cluster_sizes", "cluster_best"):
        connection.execute(f"CREATE VIEW {name} AS {VIEWS[name]}")


def _among(rows: DuckDBPyRelation, wanted: DuckDBPyRelation, column: str) -> DuckDBPyRelation:
    """Those rows whose ``column`` is in ``wanted``, which has that column alone."""
    values = [ConstantExpression(value) for (value,) in wanted.limit(FEW + 1).fetchall()]
    if not 0 < len(values) <= FEW:
        return rows.join(wanted, column, how="semi")
    return rows.filter(ColumnExpression(column).isin(*values))
