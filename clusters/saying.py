"""A person speaks: what they say is written down if it can be true beside what stands."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tenacity import RetryError, retry, retry_if_exception_type, stop_after_delay, wait_fixed

from neardup.clusters.contradiction import refusal
from neardup.clusters.overrides import Row, in_force
from neardup.schemas.errors import OverrideError, StreamError
from neardup.schemas.events import MAX_PIN_ID_BYTES
from neardup.schemas.lake import Lake

MAX_WHO, MAX_WHY = 200, 2_000
"""Characters of who said something, and why."""

PATIENCE = 30.0
"""Seconds that one waits for another who speaks at the same moment: each takes about one."""


class Spoken(NamedTuple):
    """What was written down, and the pins it names that are not in the lake now."""

    row: dict[str, Any]
    absent: list[str]


def say(lake: Lake, kind: str, who: str, why: str, **names: Any) -> Spoken:
    """Write down what a person says: a row of ``overrides``.

    ``names``: ``pin_id`` and, for link, unlink and move, ``other``; a cluster's id too for move.
    For forget ``forgets``. Raises OverrideError if it cannot be true beside what stands, or if
    others are writing all the time.
    """
    with _turn(lake):
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


@contextmanager
def _turn(lake: Lake) -> Iterator[None]:
    """Hold the lease "override": what is said at the same moment waits, so that it is checked."""
    patiently = retry(
        retry=retry_if_exception_type(StreamError),
        stop=stop_after_delay(PATIENCE),
        wait=wait_fixed(0.1),
    )
    with ExitStack() as stack:
        try:
            patiently(lambda: stack.enter_context(lake.lease("override")))()
        except RetryError:
            raise OverrideError(
                f"Another `neardup override` has been writing to {lake.path} for {PATIENCE:.0f} s: "
                "nothing was written. `neardup status` names its process; say it again after that."
            ) from None
        yield


def _check_words(row: dict[str, Any]) -> None:
    for pin_id in filter(None, (row["pin_id"], row["other"])):
        if len(pin_id.encode()) > MAX_PIN_ID_BYTES:
            raise OverrideError(f"{pin_id!r} is no pin: ids have at most {MAX_PIN_ID_BYTES} bytes.")
    for option, most in (("who", MAX_WHO), ("why", MAX_WHY)):
        if len(row[option]) > most:
            raise OverrideError(
                f"--{option} has {len(row[option]):,} characters; at most {most:,} are kept for "
                "whoever reads it later: say it shorter."
            )
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
