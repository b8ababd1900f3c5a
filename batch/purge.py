"""Legal erasure: `neardup purge`. What a deleted pin was vanishes from every file of the lake.

Its rows stay, so that ordinals stay dense and links keep their meaning, but under a name that says
nothing and without contents. Segments that hold it are built again without it, and no older file
or line of a log is kept. Every step can be repeated; a purge that was cut off is run again.
"""

import json
import shutil
from contextlib import ExitStack
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from neardup.clusters.ledger import LOG_ORDER
from neardup.index.from_log import EXEMPLAR_COLUMNS, exemplars_of, segment_of
from neardup.index.lake_segments import searched_segments, stored_segments, write_segment
from neardup.index.plans import current_plan
from neardup.index.segment import SegmentName
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake

Int64 = npt.NDArray[np.int64]

PINS_NAMED = ("pin_id", "other", "left")
LEASES = ("stream", "compact", "override")
CONTENTS = (
    *("signature", "looks", "links", "source", "attributes"),
    *("image_uri", "width", "height", "file_bytes", "thumbnail"),
)


def purge(lake: Lake, pin_ids: list[str]) -> dict[str, int]:
    """Erase these pins, all their versions; rows rewritten by table, and segments built again.

    Raises LakeError if one of them is live, StreamError if anybody writes to the lake.
    """
    with ExitStack() as held:
        for name in LEASES:
            held.enter_context(lake.lease(name))
        _refuse_live(lake, pin_ids)
        names = {pin_id: f"purged:{uuid4().hex[:16]}" for pin_id in pin_ids}
        versions = _versions(lake, pin_ids)
        counts = {
            "segments": _build_again(lake, versions),
            "clusters": _rename(lake, "clusters", ("pin_id", "head"), names),
            "overrides": _rename(lake, "overrides", PINS_NAMED, names),
            "quarantine": _empty_quarantine(lake, pin_ids),
        }
        _empty_reasons(lake)
        # Last, because the log says which ordinals and segments are the pin's.
        counts["pins"] = _rename(lake, "pins", ("pin_id",), names, CONTENTS)
        lake.erase()
    return counts


def _refuse_live(lake: Lake, pin_ids: list[str]) -> None:
    live = lake.rows(
        """SELECT pin_id FROM pins WHERE kind = 'add' AND list_contains($pin_ids, pin_id)
        AND ordinal NOT IN (SELECT previous FROM pins
            WHERE kind IN ('add', 'delete') AND previous IS NOT NULL)""",
        {"pin_ids": pin_ids},
    )
    if live:
        raise LakeError(
            f"The pin {live[0]['pin_id']!r} is live: delete it (`neardup produce --delete`), have "
            "the stream take that in, stop the stream, and purge it then."
        )


def _versions(lake: Lake, pin_ids: list[str]) -> Int64:
    rows = lake.read(
        "pins", ["ordinal"], ds.field("pin_id").isin(pin_ids) & (ds.field("kind") == "add")
    )
    ordinals: Int64 = rows["ordinal"].to_numpy()
    return ordinals


def _rename(
    lake: Lake,
    table: str,
    columns: tuple[str, ...],
    names: dict[str, str],
    emptied: tuple[str, ...] = (),
) -> int:
    """Put the new names into these columns of a table; how many rows had the old ones.

    The columns ``emptied`` of those rows become null.
    """
    old, new = pa.array(list(names)), pa.array(list(names.values()))
    found = 0

    def renamed(rows: pa.Table) -> pa.Table:
        nonlocal found
        hit = np.zeros(len(rows), np.bool_)
        for column in columns:
            which = pc.index_in(rows[column], old)
            hit |= which.is_valid().to_numpy()
            values = pc.coalesce(new.take(which.combine_chunks()), rows[column])
            rows = rows.set_column(rows.schema.get_field_index(column), column, values)
        found += int(hit.sum())
        return _emptied(rows, hit, emptied)

    lake.rewrite(table, renamed)
    return found


def _emptied(rows: pa.Table, hit: npt.NDArray[np.bool_], columns: tuple[str, ...]) -> pa.Table:
    """Null in these columns where ``hit`` is true, whatever their type."""
    kept = pa.array(np.arange(len(rows)), mask=hit)
    for column in columns:
        values = rows[column].take(kept)
        rows = rows.set_column(rows.schema.get_field_index(column), column, values)
    return rows


def _empty_reasons(lake: Lake) -> None:
    """Nothing is kept of why something was said about a pin that was purged."""

    def without(rows: pa.Table) -> pa.Table:
        purged = [pc.starts_with(rows[column], "purged:") for column in PINS_NAMED]
        about = np.any([pc.fill_null(column, False).to_numpy() for column in purged], axis=0)
        why = pc.if_else(pa.array(about), "purged", rows["why"])
        return rows.set_column(rows.schema.get_field_index("why"), "why", why)

    lake.rewrite("overrides", without)


def _empty_quarantine(lake: Lake, pin_ids: list[str]) -> int:
    """Rejected events that speak of the pins keep their place and their reason."""
    spellings = [
        spelling
        for pin_id in pin_ids
        for spelling in (pin_id.encode(), json.dumps(pin_id)[1:-1].encode())
    ]
    found = 0

    def emptied(rows: pa.Table) -> pa.Table:
        nonlocal found
        said = [
            b"\n".join([row["key"] or b"", row["value"] or b"", row["detail"].encode()])
            for row in rows.select(["key", "value", "detail"]).to_pylist()
        ]
        hit = np.array([any(word in text for word in spellings) for text in said], np.bool_)
        found += int(hit.sum())
        detail = pc.if_else(pa.array(hit), "purged", rows["detail"])
        rows = rows.set_column(rows.schema.get_field_index("detail"), "detail", detail)
        return _emptied(rows, hit, ("key", "value"))

    lake.rewrite("quarantine", emptied)
    return found


def _build_again(lake: Lake, versions: Int64) -> int:
    """Segments over these ordinals without what has ended; the former ones are removed."""
    holding = [name for name in stored_segments(lake) if _holds(SegmentName.of(name), versions)]
    if not holding:
        return 0
    plan = current_plan(lake)
    live = [name for name in searched_segments(lake) if name in holding]
    columns = [*EXEMPLAR_COLUMNS, *(name for name, _ in LOG_ORDER)]
    exemplars = exemplars_of(lake.read("pins", columns).sort_by(LOG_ORDER))
    for segment_id in live:
        name = SegmentName.of(segment_id)
        write_segment(lake, segment_of(lake, exemplars, name.span, plan, name.revision + 1))
    lake.remove_segments(holding)
    for segment_id in holding:
        shutil.rmtree(lake.cache_directory() / segment_id, ignore_errors=True)
    return len(live)


def _holds(name: SegmentName, ordinals: Int64) -> bool:
    return bool(((ordinals >= name.first) & (ordinals < name.end)).any())
