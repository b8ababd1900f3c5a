"""One topic for all fault tests, the undisturbed run over it, and the table at the end."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic
from neardup.streaming.produce import PinProducer
from tests.faults.events import SEED, Event, events
from tests.faults.report import LINES
from tests.faults.system import System

PARTITIONS = 2


def send(bootstrap: str, topic: str, sent: Sequence[Event]) -> None:
    with PinProducer(bootstrap, topic) as producer:
        for key, value in sent:
            producer.send_raw(key, value)


@pytest.fixture(scope="session")
def calm(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> System:
    """The oracle: a run over all events that nothing disturbed, with more tasks than the others."""
    topic = "faults"
    create_topic(broker.bootstrap, topic, PARTITIONS)
    send(broker.bootstrap, topic, events())
    system = System(tmp_path_factory.mktemp("calm"), broker.bootstrap, topic, cores=2)
    assert system.drain() == 0, system.words()
    return system


@pytest.fixture
def rough(calm: System, tmp_path: Path) -> System:
    """An empty lake over the same topic."""
    return System(tmp_path / "rough", calm.bootstrap, calm.topic)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not LINES:
        return
    terminalreporter.section(f"faults: events of seed {SEED}")
    for line in LINES:
        terminalreporter.write_line(str(line))
