"""Bursts, floods, and long runs: batches follow the load, memory and files do not grow.

NEARDUP_SOAK_SECONDS is the length of the soak, two minutes if it is not set.
"""

import os
import re
from collections import Counter
from pathlib import Path
from statistics import median

import pytest

from neardup.benchmarks.soak import Soak, soak
from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic
from neardup.schemas.lake import Lake
from tests.faults.conftest import send
from tests.faults.events import SEED, events
from tests.faults.system import System, differences, partition

ADAPTIVE = """\
first_events_per_batch = 3
min_events_per_batch = 3
target_batch_seconds = 60
"""


def facts(lake: Lake) -> dict[str, list[str]]:
    """What is published, without the numbers of batches; clusters as sets of pins."""
    rows = {name: lake.read(name).to_pylist() for name in ("pins", "quarantine")}
    for row in rows["pins"]:
        del row["batch_seq"]
    found = {name: sorted(map(repr, those)) for name, those in rows.items()}
    return {**found, "clusters": sorted(repr(sorted(pins)) for pins in partition(lake))}


def sizes(system: System) -> list[int]:
    """Events of each batch, as the log has them."""
    found = re.findall(r"batch \d+: (\d+) events", system.words(1_000_000))
    return [int(size) for size in found]


@pytest.mark.faults
def test_batches_grow_with_the_backlog_and_nothing_else_changes(
    broker: Broker, tmp_path: Path
) -> None:
    """Of one partition, whose order is the log's. Killed while they grow, and started again."""
    topic = "growing"
    create_topic(broker.bootstrap, topic, 1)
    send(broker.bootstrap, topic, events())
    equal, growing = (
        System(tmp_path / name, broker.bootstrap, topic, stream=stream)
        for name, stream in (("equal", ""), ("growing", ADAPTIVE))
    )
    assert equal.drain() == 0, equal.words()
    growing.drain(crash="batch.done:5")
    assert growing.drain() == 0, growing.words()
    first, *others = sizes(growing)
    assert first <= 3 < 12 < max(others) <= 30
    assert "ERROR" not in growing.words(1_000_000), "a query that is made anew is no error"
    assert differences(facts(equal.lake), facts(growing.lake)) == {}


@pytest.mark.faults
def test_rejected_events_that_are_too_large_to_hold_at_once(broker: Broker, tmp_path: Path) -> None:
    """Their bytes are kept, so they travel through the JVM: here with room for a few of them."""
    topic = "heavy"
    create_topic(broker.bootstrap, topic, 2)
    junk = [(f"junk-{i}".encode(), bytes([i]) * 400_000) for i in range(40)]
    send(broker.bootstrap, topic, [*events()[:20], *junk])
    more = '[spark.options]\n"spark.driver.maxResultSize" = "3m"'
    system = System(tmp_path / "heavy", broker.bootstrap, topic, more=more)
    assert system.drain() == 0, system.words()
    assert "done in halves" in system.words(100_000)
    rows = system.lake.rows("SELECT key, value FROM quarantine WHERE octet_length(value) > 1000")
    assert {row["key"]: row["value"] for row in rows} == dict(junk)
    assert system.decided() == 60


@pytest.mark.path
def test_a_short_soak_with_a_burst_of_twenty_times_the_rate() -> None:
    soaked(24.0)


@pytest.mark.faults
def test_a_soak_holds_no_more_at_its_end() -> None:
    found = soaked(float(os.environ.get("NEARDUP_SOAK_SECONDS", "120")))
    third = len(found.samples) // 3
    before, after = (
        sum(map(Counter.total, found.samples[begin : begin + third])) / third
        for begin in (third, 2 * third)
    )
    print(f"{before / 1e6:.0f} MB, later {after / 1e6:.0f} MB")
    assert after < 1.15 * before
    begun, ended = (median(found.open_files[at : at + third]) for at in (third, 2 * third))
    print(f"{begun:.0f} files open, later {ended:.0f}; at most {max(found.open_files)}")
    # Two segments' worth, by the median: a compaction opens many files for a moment.
    assert ended < begun + 12, found.open_files


def soaked(seconds: float) -> Soak:
    """That nothing waits at its end is what ``soak`` waits for."""
    found = soak(seconds, 20.0, SEED)
    largest = max(events for events, _ in found.batches)
    files = max(found.files.values())
    print(f"soak of {seconds:.0f} s, seed {SEED}: {found.events} events; {files} files")
    assert files < 200, found.files
    assert largest > 4 * min(events for events, _ in found.batches), "the burst was noticed"
    assert max(found.lag) > found.lag[-1]
    return found
