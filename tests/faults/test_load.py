"""A stream that is behind takes larger batches; where they begin and end changes nothing."""

import re
from pathlib import Path

import pytest

from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic
from neardup.schemas.lake import Lake
from tests.faults.conftest import send
from tests.faults.events import events
from tests.faults.system import System, differences, partition

ADAPTIVE = """\
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
