"""Third step of a micro-batch, on the driver: what each event is, in the order of the log.

An event of an unknown id, or of a known one with another signature, is a new pin version: `add`,
with the next ordinal. The same id with the same signature is a `repeat`. A null value is a
`delete`. A new version and a delete end the version before them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neardup.index.store import stacked
from neardup.streaming.candidates import Ended
from neardup.streaming.state import State
from neardup.streaming.views import QueryRows, query_rows


@dataclass(frozen=True)
class Decided:
    """The rows of a batch with ``kind``, ``ordinal`` and ``previous`` set; the adds among them.

    ``queries`` uint8 [q, 128]: the adds' signatures. ``searched``: what is searched for, their
    views too. ``ended`` counts queries.
    """

    rows: list[dict[str, Any]]
    adds: list[dict[str, Any]]
    queries: npt.NDArray[np.uint8]
    searched: QueryRows
    ended: Ended


def decide(state: State, rows: list[dict[str, Any]]) -> Decided:
    """Decide usable rows, sorted by (partition, offset). The state is only read."""
    pin_ids = [row["pin_id"] for row in rows]
    newest = dict(zip(pin_ids, state.find(pin_ids).tolist(), strict=True))
    live = {pin: o for pin, o in newest.items() if o >= 0 and state.fold.is_live(o)}
    signatures = {o: state.store.signatures(np.array([o]))[0].tobytes() for o in live.values()}
    adds: list[dict[str, Any]] = []
    ended: dict[int, int] = {}
    for row in rows:
        previous = live.get(row["pin_id"])
        row["ordinal"], row["previous"] = None, previous
        if previous is not None and row["signature"] == signatures[previous]:
            row["kind"] = "repeat"
            row["signature"], row["looks"], row["thumbnail"] = None, None, None
            continue
        if previous is not None:
            ended[previous] = len(adds)
            del live[row["pin_id"]]
        if row["kind"] == "add":
            row["ordinal"] = state.next_ordinal + len(adds)
            live[row["pin_id"]] = row["ordinal"]
            signatures[row["ordinal"]] = row["signature"]
            adds.append(row)
    queries = stacked([row["signature"] for row in adds])
    searched = query_rows(queries, [row.get("views") for row in adds])
    return Decided(rows, adds, queries, searched, _ended(state, ended))


def _ended(state: State, ended: dict[int, int]) -> Ended:
    during = np.array(sorted(ended), np.int64)
    at = np.array([ended[ordinal] for ordinal in during.tolist()], np.int32)
    return Ended(state.masked, during, at)
