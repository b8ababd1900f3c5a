"""When a stream is called ill: a table of cases."""

import pytest

from neardup.answers.health import Limits, Pulse, complaint

LIMITS = Limits(lag_events=1000, batch_seconds=60, start_seconds=900)
WELL = Pulse(since_start=5000, waited=0, began=True, batch_seconds=2, lag=0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"lag": 1000}, None),
        ({"lag": 1001}, "1,001 events wait; 1,000 are allowed"),
        ({"lag": None}, "Kafka does not say"),
        ({"waited": 61.0}, None),  # what was waited for is done
        ({"waited": 61.0, "lag": 3}, "3 events wait, and no batch was done for 61 s"),
        ({"waited": 59.0, "lag": 3}, None),
        ({"batch_seconds": 60.5}, None),  # and so is what was slow
        ({"batch_seconds": 60.5, "lag": 3}, "3 events wait, and the last batch took 60.5 s; 60 "),
        # before the first batch a long log is folded: that is no illness, up to a point
        ({"began": False, "lag": 10_000_000, "since_start": 899.0}, None),
        ({"began": False, "lag": 1, "since_start": 901.0}, "in the 901 s since the start"),
        ({"began": False, "lag": 0, "since_start": 90_000.0}, None),
    ],
)
def test_complaints(changes: dict[str, float | bool], said: str | None) -> None:
    found = complaint(Pulse(**{**WELL.__dict__, **changes}), LIMITS)
    assert found is None if said is None else said in (found or "")
