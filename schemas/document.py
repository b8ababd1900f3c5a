"""Pages that are generated from the code: `python -m neardup.schemas.document`.

``docs/tables.md`` from the tables, ``schemas/pin-event.v1.json`` from the event's types,
``schemas/cluster-change.v1.json`` from that of a change.
"""

from pathlib import Path

from neardup.schemas import changes, events
from neardup.schemas.tables import FORMAT_VERSION, TABLES, TableSpec
from neardup.schemas.views import VIEWS

ROOT = Path(__file__).resolve().parents[1]

_HEAD = f"""\
# The tables

Generated from `schemas/tables.py` and `schemas/views.py` by `python -m neardup.schemas.document`.
Format version {FORMAT_VERSION}, kept in each table's property `neardup.formatVersion`. Times are
UTC in microseconds. [queries.md](queries.md) shows how to ask them.

`pins` is the log, and `overrides` holds what its override rows say. `segments`, `clusters` and
`generations` can be made again from them, `quarantine` from Kafka.
"""


def tables_page() -> str:
    """The text of ``docs/tables.md``."""
    tables = "\n".join(_table(spec) for spec in TABLES.values())
    views = "\n".join(
        f"## View `{name}`\n\n```sql\n{sql.strip()}\n```\n" for name, sql in VIEWS.items()
    )
    return f"{_HEAD}\n{tables}\n{views}"


def _table(spec: TableSpec) -> str:
    rows = "\n".join(
        f"| `{field.name}` | {field.type}{'' if field.nullable else ', required'} "
        f"| {field.metadata[b'comment'].decode()} |"
        for field in spec.schema
    )
    layout = f" Partitioned by {', '.join(spec.partition_by)}." if spec.partition_by else ""
    return (
        f"## `{spec.name}`\n\nA row is {spec.row}.{layout}\n\n"
        f"| column | type | what it holds |\n|---|---|---|\n{rows}\n"
    )


if __name__ == "__main__":
    (ROOT / "docs" / "tables.md").write_text(tables_page(), "utf-8")
    (ROOT / "schemas" / f"pin-event.v{events.VERSION}.json").write_bytes(events.json_schema())
    schema = ROOT / "schemas" / f"cluster-change.v{changes.VERSION}.json"
    schema.write_bytes(changes.json_schema())
