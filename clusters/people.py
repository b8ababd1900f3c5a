"""People's word in the tables: written down when it can be true, then taken into the log.

What a person says is a row of ``overrides``. The writer of the lake makes it a row of ``pins``, an
event like all others: so it has its place in the order of the log, once, whatever crashes when.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow.compute as pc
import pyarrow.dataset as ds

from neardup.clusters.contradiction import refusal
from neardup.clusters.overrides import Row, in_force
from neardup.schemas.errors import OverrideError
from neardup.schemas.events import MAX_PIN_ID_BYTES
from neardup.schemas.lake import Lake

OVERRIDES_TOPIC = "overrides"
"""The topic id of those rows of ``pins``; the offset is the sequence."""

OVERRIDES_PARTITION = -1
"""Their partition: in a batch people come first."""


class Spoken(NamedTuple):
    """What was written down, and the pins it names that are not in the lake now."""

    row: dict[str, Any]
    absent: list[str]


def heard(lake: Lake, through: int | None = None) -> list[int]:
    """The sequences of what people said that is in the log, up to the end of batch ``through``."""
    where = ds.field("kind") == "override"
    if through is not None:
        where &= ds.field("batch_seq") <= through
    return sorted(lake.read("pins", ["offset"], where)["offset"].to_pylist())


def waiting(lake: Lake, last: int) -> list[dict[str, Any]]:
    """Rows of ``overrides`` after the ``last`` that is in the log, in their order."""
    rows = lake.read("overrides", None, ds.field("sequence") > last)
    return rows.sort_by("sequence").to_pylist()  # type: ignore[no-any-return]


def events(rows: Iterable[dict[str, Any]], batch_seq: int) -> list[dict[str, Any]]:
    """What people said as rows of ``pins``, of one batch."""
    return [
        {
            "pin_id": row["pin_id"],
            "kind": "override",
            "batch_seq": batch_seq,
            "topic_id": OVERRIDES_TOPIC,
            "partition": OVERRIDES_PARTITION,
            "offset": row["sequence"],
            "event_time": row["written_at"],
        }
        for row in rows
    ]


def commit_waiting(lake: Lake) -> int:
    """Take what waits into the log, as a batch of its own; how many rows.

    For who holds the lease "stream" and runs no batches: the next fold of the log brings it about.
    """
    rows = waiting(lake, max(heard(lake), default=-1))
    if rows:
        last = pc.max(lake.read("pins", ["batch_seq"])["batch_seq"]).as_py()
        lake.append_rows("pins", events(rows, 0 if last is None else last + 1))
    return len(rows)


def say(lake: Lake, kind: str, who: str, why: str, **names: Any) -> Spoken:
    """Write down what a person says: a row of ``overrides``.

    ``names``: ``pin_id`` and, for link, unlink and move, ``other``; a cluster's id too for move.
    For forget ``forgets``. Raises OverrideError if it cannot be true beside what stands.
    """
    with lake.lease("override"):
        rows = lake.read("overrides").to_pylist()
        row = {
            **{"sequence": len(rows), "kind": kind, "pin_id": None, "other": None, "left": None},
            **{"forgets": None, "who": who, "why": why, "written_at": datetime.now(UTC), **names},
        }
        _check_words(row)
        if kind == "forget":
            row["pin_id"] = _forgotten(rows, row["forgets"])["pin_id"]
        if kind == "move":
            _complete_move(lake, row)
        absent = _absent(lake, row)
        proof = refusal(in_force(rows), row)
        if proof is not None:
            raise OverrideError(
                f"This cannot be true beside what was said before: {'; '.join(proof)}. Take one of "
                "them back first (`neardup override forget N`), or say something else."
            )
        lake.append_rows("overrides", [row])
    return Spoken(row, absent)


def _check_words(row: dict[str, Any]) -> None:
    for pin_id in filter(None, (row["pin_id"], row["other"])):
        if len(pin_id.encode()) > MAX_PIN_ID_BYTES:
            raise OverrideError(f"{pin_id!r} is no pin: ids have at most {MAX_PIN_ID_BYTES} bytes.")
    if not row["why"].strip():
        raise OverrideError("--why is empty: say why, whoever reads it next year will ask.")
    if row["pin_id"] is not None and row["pin_id"] == row["other"]:
        raise OverrideError(f"{row['pin_id']} is one pin: {row['kind']} needs two.")


def _forgotten(rows: list[dict[str, Any]], sequence: int) -> Row:
    found = next((row for row in in_force(rows) if row["sequence"] == sequence), None)
    if found is None:
        raise OverrideError(
            f"#{sequence} does not hold: it was never said, or taken back, or takes another one "
            "back. `neardup override list` shows what holds."
        )
    return found


def _complete_move(lake: Lake, row: dict[str, Any]) -> None:
    """``other`` becomes a pin, ``left`` one of the cluster that the moved pin leaves."""
    pin_id, to = row["pin_id"], row["other"]
    places = {place["pin_id"]: place for place in _places(lake, [pin_id, to])}
    if pin_id not in places:
        raise OverrideError(
            f"No live pin is called {pin_id!r}, so there is nothing to move. For a pin that is "
            "yet to come say `link`."
        )
    if to not in places:
        row["other"] = _head(lake, to)
        places = {place["pin_id"]: place for place in _places(lake, [pin_id, row["other"]])}
    if places[pin_id]["cluster_id"] == places[row["other"]]["cluster_id"]:
        raise OverrideError(f"{pin_id} is in that cluster already: there is nothing to move.")
    row["left"] = _companion(lake, places[pin_id])


def _places(lake: Lake, pin_ids: list[str]) -> list[dict[str, Any]]:
    return lake.rows(
        """SELECT pin_id, cluster_id, head FROM clusters_current
        WHERE list_contains($pin_ids, pin_id)""",
        {"pin_ids": pin_ids},
    )


def _head(lake: Lake, cluster: str) -> str:
    found = lake.rows(
        "SELECT head FROM clusters_current WHERE CAST(cluster_id AS VARCHAR) = $cluster LIMIT 1",
        {"cluster": cluster},
    )
    if not found:
        raise OverrideError(
            f"No live pin and no current cluster is called {cluster!r}: `neardup query "
            '"SELECT * FROM cluster_sizes"` lists the clusters.'
        )
    return str(found[0]["head"])


def _companion(lake: Lake, place: dict[str, Any]) -> str | None:
    """The head of a pin's cluster; if it is the head itself the oldest other pin, None if alone."""
    if place["head"] != place["pin_id"]:
        return str(place["head"])
    others = lake.rows(
        """SELECT pin_id FROM clusters_current WHERE cluster_id = $cluster_id AND pin_id <> $pin_id
        ORDER BY ordinal LIMIT 1""",
        {"cluster_id": place["cluster_id"], "pin_id": place["pin_id"]},
    )
    return others[0]["pin_id"] if others else None


def _absent(lake: Lake, row: dict[str, Any]) -> list[str]:
    if row["kind"] == "forget":
        return []
    names = [row[name] for name in ("pin_id", "other") if row[name] is not None]
    there = {place["pin_id"] for place in _places(lake, names)}
    return [name for name in names if name not in there]
