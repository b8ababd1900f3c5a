"""What the bench of faults counts, on plain numbers."""

from itertools import islice
from pathlib import Path
from random import Random

import pytest

from neardup.benchmarks.faults import every
from neardup.benchmarks.faults_run import lags, same_events
from neardup.schemas.errors import StreamError
from neardup.schemas.lake import Lake
from tests.lakes import pin

SENT = {"a": 0.0, "b": 1.0, "c": 2.0, "d": 3.0}


def test_lag_is_what_was_sent_and_is_not_visible_after_each_commit() -> None:
    times, lag = lags(SENT, {"a": 2.5, "b": 2.5, "c": 2.6, "d": 9.0})
    assert times.tolist() == [2.5, 2.6, 9.0]
    assert lag.tolist() == [1, 0, 0]


def test_there_is_a_kill_every_so_many_seconds() -> None:
    first, second, third = islice(every(60.0, Random(1)), 3)  # noqa: S311
    assert 0 < first <= 60 and (second - first, third - second) == (60, 60)


def lake(path: Path, *offsets: int) -> Lake:
    made = Lake.create(path)
    made.append_rows("pins", [pin(f"p{offset}", 0, offset) for offset in offsets])
    return made


@pytest.mark.parametrize("offsets", [(0, 1), (0, 1, 1), (0, 1, 2, 3)])
def test_an_event_lost_or_counted_twice_is_no_figure(
    tmp_path: Path, offsets: tuple[int, ...]
) -> None:
    calm, rough = lake(tmp_path / "calm", 0, 1, 2), lake(tmp_path / "rough", *offsets)
    assert same_events(calm, calm).startswith("3 events each once")
    with pytest.raises(StreamError, match="3 rows of a calm run"):
        same_events(calm, rough)
