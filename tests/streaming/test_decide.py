"""What an event is, against a plain model of versions, and whatever the batch boundaries."""

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neardup.streaming.decide import decide

EVENTS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["delete", 0, 1, 2])), max_size=20
)


class Pins:
    """Just enough of the driver's state: versions that were added, and which of them are live."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.bits: list[bytes] = []
        self.gone: set[int] = set()
        self.store = SimpleNamespace(
            signatures=lambda o: np.frombuffer(self.bits[o[0]], np.uint8)[None]
        )
        self.fold = SimpleNamespace(is_live=lambda o: o not in self.gone)
        self.masked = np.array([], np.int64)

    @property
    def next_ordinal(self) -> int:
        return len(self.ids)

    def find(self, pin_ids: list[str]) -> np.ndarray:
        newest = {pin_id: ordinal for ordinal, pin_id in enumerate(self.ids)}
        return np.array([newest.get(pin_id, -1) for pin_id in pin_ids], np.int64)

    def apply(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if row["kind"] == "repeat":
                continue
            if row["previous"] is not None:
                self.gone.add(row["previous"])
            if row["kind"] == "add":
                self.ids.append(row["pin_id"])
                self.bits.append(row["signature"])


def row_of(event: tuple[str, Any]) -> dict[str, Any]:
    pin_id, what = event
    if what == "delete":
        return {"pin_id": pin_id, "kind": "delete", "signature": None}
    return {"pin_id": pin_id, "kind": "add", "signature": bytes([what]) * 128, "thumbnail": b"t"}


def naive(events: list[tuple[str, Any]]) -> list[tuple[str, int | None, int | None]]:
    live: dict[str, tuple[int, Any]] = {}
    decided: list[tuple[str, int | None, int | None]] = []
    ordinal = 0
    for pin_id, what in events:
        before = live.get(pin_id)
        if what == "delete":
            live.pop(pin_id, None)
            decided.append(("delete", None, before and before[0]))
        elif before and before[1] == what:
            decided.append(("repeat", None, before[0]))
        else:
            live[pin_id] = (ordinal, what)
            decided.append(("add", ordinal, before and before[0]))
            ordinal += 1
    return [(kind, o, None if p is None else p) for kind, o, p in decided]


@given(events=EVENTS, cuts=st.sets(st.integers(0, 20)))
def test_decisions_do_not_depend_on_batch_boundaries(
    events: list[tuple[str, Any]], cuts: set[int]
) -> None:
    bounds = [0, *sorted(c for c in cuts if c < len(events)), len(events)]
    pins = Pins()
    decided = []
    for begin, end in itertools.pairwise(bounds):
        batch = decide(pins, [row_of(event) for event in events[begin:end]])  # type: ignore[arg-type]
        assert [row["ordinal"] for row in batch.adds] == list(
            range(pins.next_ordinal, pins.next_ordinal + len(batch.adds))
        )
        assert len(batch.queries) == len(batch.adds)
        pins.apply(batch.rows)
        decided += [(row["kind"], row["ordinal"], row["previous"]) for row in batch.rows]
    assert decided == naive(events)


def test_a_version_that_ends_in_the_batch_is_known_to_the_search() -> None:
    pins = Pins()
    pins.masked = np.array([-7])
    batch = decide(pins, [row_of(e) for e in [("a", 0), ("b", 0), ("a", 1), ("c", 0)]])  # type: ignore[arg-type]
    assert batch.ended.before.tolist() == [-7], "what the state knows of its segments goes along"
    assert batch.ended.during.tolist() == [0]
    assert batch.ended.at.tolist() == [2], "queries 0 and 1 came before the end of ordinal 0"
