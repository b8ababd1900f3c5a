"""Killed at every named place and started again, the tables are those of an undisturbed run."""

import signal
from collections.abc import Sequence

import pytest

from tests.faults.report import compare
from tests.faults.system import System

STREAM = [
    "plans.before",
    "plans.after",
    "generations.before",
    "generations.after",
    "batch.asked:2",
    "quarantine.before:2",
    "quarantine.after",
    "pins.before:2",
    "pins.after:3",
    "clusters.before:2",
    "clusters.after:4",
    "flush.built:2",
    "segments.before",
    "segments.after:2",
    "flush.written:3",
    "cache.written",
    "cache.named:2",
    "batch.done:2",
]
"""In the stream over an empty lake. With :N some batches are done by then, segments written."""

CHAIN = ["pins.before:2", "clusters.before", "segments.after"]
"""Crash upon crash on one lake: every start mends what the one before left, then dies too."""

MERGING = ["merge.built", "merge.written", "merge.decoded"]
MAINTENANCE = ["maintenance.compacted", "maintenance.checkpointed", "maintenance.cleaned"]


def crash(system: System, at: str, *command: str) -> None:
    ended = system.run(*(command or ("stream", "--once")), crash=at)
    assert ended == -signal.SIGKILL, f"{at} was not reached: {ended}\n{system.words()}"


def crashes(system: System, places: Sequence[str]) -> None:
    for place in places:
        crash(system, place)
    assert system.drain() == 0, system.words()


@pytest.mark.path
def test_killed_again_and_again(calm: System, rough: System) -> None:
    crashes(rough, CHAIN)
    compare(", ".join(CHAIN), calm, rough)


@pytest.mark.faults
@pytest.mark.parametrize("place", STREAM)
def test_killed_in_the_stream(calm: System, rough: System, place: str) -> None:
    crashes(rough, [place])
    compare(place, calm, rough)


@pytest.mark.faults
@pytest.mark.parametrize("place", MERGING)
def test_killed_in_a_merge(calm: System, rough: System, place: str) -> None:
    """Merges run beside a stream that stays."""
    crash(rough, place, "stream")
    assert rough.drain() == 0, rough.words()
    compare(place, calm, rough)


@pytest.mark.faults
@pytest.mark.parametrize("place", MAINTENANCE)
def test_killed_in_the_maintenance(calm: System, rough: System, place: str) -> None:
    rough.maintenance = 1.0
    rough.write_settings()
    crash(rough, place, "stream")
    assert rough.drain() == 0, rough.words()
    compare(place, calm, rough)
