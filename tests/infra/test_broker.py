"""A real broker: what it carries, what survives a restart, and that it dies with its owner."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from kafka import KafkaConsumer, KafkaProducer

from neardup.infra import topics
from neardup.infra.kafka import Broker
from neardup.schemas.errors import EnvironmentProblem

pytestmark = pytest.mark.path


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    # A space and a comma: in Kafka's properties a path with them would be two, or another one.
    with Broker(tmp_path_factory.mktemp("broker") / "a folder, of logs") as running:
        yield running


def produce(broker: Broker, topic: str, events: dict[str, bytes]) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, max_request_size=8 * 1024 * 1024)
    futures = [producer.send(topic, key=k.encode(), value=v) for k, v in events.items()]
    for future in futures:
        future.get(timeout=20)
    producer.close()


def consume(broker: Broker, topic: str, count: int) -> dict[str, bytes]:
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=broker.bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    events: dict[str, bytes] = {}
    deadline = time.monotonic() + 30
    while len(events) < count and time.monotonic() < deadline:
        for records in consumer.poll(timeout_ms=500).values():
            events |= {record.key.decode(): record.value for record in records}
    consumer.close()
    return events


def test_events_go_through_three_partitions_a_large_one_too(broker: Broker) -> None:
    topics.create_topic(broker.bootstrap, "carried", 3, retention_ms=3_600_000)
    events = {f"pin-{n}": f"event {n}".encode() for n in range(50)}
    events["large"] = bytes(5_500_000)
    produce(broker, "carried", events)
    assert consume(broker, "carried", len(events)) == events


def test_creating_twice_is_creating_once(broker: Broker) -> None:
    topics.create_topic(broker.bootstrap, "twice", 2)
    first = topics.topic_id(broker.bootstrap, "twice")
    topics.create_topic(broker.bootstrap, "twice", 2)
    assert topics.topic_id(broker.bootstrap, "twice") == first
    with pytest.raises(EnvironmentProblem, match="has 2 partitions, not 4"):
        topics.create_topic(broker.bootstrap, "twice", 4)


def test_a_topic_made_anew_has_another_id(broker: Broker) -> None:
    topics.create_topic(broker.bootstrap, "anew", 1)
    first = topics.topic_id(broker.bootstrap, "anew")
    topics.delete_topic(broker.bootstrap, "anew")
    assert not topics.topic_exists(broker.bootstrap, "anew")
    topics.create_topic(broker.bootstrap, "anew", 1)
    assert topics.topic_id(broker.bootstrap, "anew") != first


def test_an_unknown_topic_is_named(broker: Broker) -> None:
    with pytest.raises(EnvironmentProblem, match="no topic 'nowhere'"):
        topics.topic_id(broker.bootstrap, "nowhere")


def test_a_taken_port_is_said(broker: Broker, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match=f"{broker.port} is taken"):
        Broker(tmp_path, broker.port).start()


@pytest.mark.parametrize("end", [Broker.stop, Broker.kill], ids=["stopped", "killed"])
def test_a_restart_keeps_events_port_and_topic_id(broker: Broker, end: object) -> None:
    topic = f"kept-{end.__name__}"  # type: ignore[attr-defined]
    topics.create_topic(broker.bootstrap, topic, 3)
    before = (broker.bootstrap, topics.topic_id(broker.bootstrap, topic))
    produce(broker, topic, {"pin-1": b"first", "pin-2": b"second"})
    end(broker)  # type: ignore[operator]
    assert not topics.answers(broker.bootstrap)
    broker.start()
    assert (broker.bootstrap, topics.topic_id(broker.bootstrap, topic)) == before
    assert consume(broker, topic, 2) == {"pin-1": b"first", "pin-2": b"second"}


OWNER = """
import signal, sys, time
from pathlib import Path
from neardup.infra.kafka import Broker
signal.signal(signal.SIGINT, signal.SIG_IGN)  # an owner that finishes its batch first
with Broker(Path(sys.argv[1])) as broker:
    print(broker.bootstrap, flush=True)
    time.sleep(600)
"""


def test_the_broker_outlives_ctrl_c_but_not_its_owner(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as owner:
        assert owner.stdout is not None
        bootstrap = owner.stdout.readline().decode().strip()
        children = psutil.Process(owner.pid).children(recursive=True)
        assert any("kafka.Kafka" in child.cmdline() for child in children)

        os.killpg(owner.pid, signal.SIGINT)  # what a terminal sends on Ctrl-C
        assert topics.answers(bootstrap)

        owner.kill()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
