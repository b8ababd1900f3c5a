"""Killed at every named place and started again, the tables are those of an undisturbed run.

Places come in chains, crash upon crash on one lake: every start mends what the one before left,
goes on, and dies at the next place. What a start lost or did twice would stay to the end.
"""

import signal

import pytest

from neardup.schemas.crash import PLACES
from tests.faults.report import compare
from tests.faults.system import System

SHORT = ["pins.before:2", "clusters.before", "segments.after"]

ONCE = {
    "the beginning": [
        "generations.before",
        "generations.after",
        "plans.before",
        "plans.after",
        "batch.asked:2",
        "quarantine.before",
        "pins.before:2",
    ],
    "commits": [
        "quarantine.after",
        "pins.after",
        "clusters.before",
        "clusters.after",
        "batch.done",
        "pins.after:3",
    ],
    "segments": [
        "segments.before",
        "segments.after",
        "flush.built:2",
        "flush.written:2",
        "cache.written",
        "cache.named",
    ],
}
"""In ``neardup stream --once`` over an empty lake. With :N the N-th time."""

MERGING = ["merge.built", "merge.written", "merge.decoded"]
MAINTENANCE = ["maintenance.compacted", "maintenance.checkpointed", "maintenance.cleaned"]


def crash(system: System, at: str, *command: str) -> None:
    ended = system.run(*(command or ("stream", "--once")), crash=at)
    assert ended == -signal.SIGKILL, f"{at} was not reached: {ended}\n{system.words()}"


@pytest.mark.path
def test_killed_again_and_again(calm: System, rough: System) -> None:
    for place in SHORT:
        crash(rough, place)
    assert rough.drain() == 0, rough.words()
    compare("stream", SHORT, calm, rough)


@pytest.mark.faults
@pytest.mark.parametrize("chain", ONCE)
def test_killed_in_the_stream(calm: System, rough: System, chain: str) -> None:
    for place in ONCE[chain]:
        crash(rough, place)
    assert rough.drain() == 0, rough.words()
    compare("stream", ONCE[chain], calm, rough)


@pytest.mark.faults
@pytest.mark.parametrize("places", [MERGING, MAINTENANCE], ids=["merges", "maintenance"])
def test_killed_beside_the_stream(calm: System, rough: System, places: list[str]) -> None:
    """In the threads of a stream that stays."""
    if places is MAINTENANCE:
        rough.maintenance = 1.0
        rough.write_settings()
    for place in places:
        crash(rough, place, "stream")
    assert rough.drain() == 0, rough.words()
    compare("stream's threads", places, calm, rough)


def test_no_place_is_left_out() -> None:
    chains = [*ONCE.values(), MERGING, MAINTENANCE]
    tried = {place.partition(":")[0] for chain in chains for place in chain}
    elsewhere = {place for place in PLACES if place.startswith(("compaction.", "publish."))}
    assert PLACES.keys() <= tried | elsewhere
