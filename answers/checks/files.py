"""Checks of the files themselves: what a table's log names is there, whole and readable."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from neardup.answers.checks.snapshot import EXAMPLES, Snapshot, Violations


def files(snapshot: Snapshot, name: str) -> Violations:
    """Each file of a table has the size that its log gives, a footer, and the rows it counts."""
    wrong: list[dict[str, Any]] = []
    table = snapshot.table(name)
    actions = pa.table(table.get_add_actions(flatten=True))
    rows = zip(
        table.file_uris(),
        actions["size_bytes"].to_pylist(),
        actions["num_records"].to_pylist(),
        strict=True,
    )
    for uri, size, count in rows:
        said = _damage(Path(uri), size, count)
        if said:
            wrong.append({"file": uri, "wrong": said})
    return Violations(len(wrong), wrong[:EXAMPLES])


def _damage(path: Path, size: int, count: int | None) -> str | None:
    if not path.is_file():
        return "it is missing"
    found = path.stat().st_size
    if found != size:
        return f"it has {found} bytes, not {size}"
    try:
        rows = pq.read_metadata(path).num_rows
    except (pa.ArrowException, OSError) as error:
        return f"it is no Parquet file: {error}"
    return None if count in (None, rows) else f"it has {rows} rows, not {count}"
