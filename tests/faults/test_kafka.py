"""What Kafka may do to its readers. The oracle is another reader: kafka-python, with no Spark."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic, delete_topic, partitions
from tests.faults.conftest import PARTITIONS, send
from tests.faults.events import Event, events
from tests.faults.report import compare, note, stopped
from tests.faults.system import System, differences, told
from tests.faults.test_crash_points import crash

KAFKA = "Kafka"


@pytest.fixture
def some() -> list[Event]:
    return events()[:60]


def system_over(broker: Broker, topic: str, folder: Path, count: int = 1, **configs: str) -> System:
    create_topic(broker.bootstrap, topic, count, **configs)
    return System(folder / topic, broker.bootstrap, topic)


def readable(system: System) -> set[tuple[int, int]]:
    """Positions of all records that a reader of committed ones gets now."""
    reader = KafkaConsumer(
        bootstrap_servers=system.bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        consumer_timeout_ms=3000,
    )
    try:
        numbers = partitions(system.bootstrap, system.topic)
        reader.assign([TopicPartition(system.topic, number) for number in numbers])
        return {(record.partition, record.offset) for record in reader}
    finally:
        reader.close()


def decided(system: System) -> list[tuple[int, int]]:
    """Positions in the log and in quarantine, each as often as it is there."""
    rows = system.lake.rows(
        """SELECT partition, "offset" FROM pins UNION ALL
        SELECT partition, "offset" FROM quarantine"""
    )
    return sorted((row["partition"], row["offset"]) for row in rows)


def distinct() -> list[Event]:
    """Pins, each sent once: none of them matters to another one's key."""
    pins: dict[bytes | None, bytes | None] = {
        key: value for key, value in events() if key and key.startswith(b"f") and value
    }
    return list(pins.items())[:60]


def calm_over(broker: Broker, topic: str, folder: Path, parts: list[list[Event]]) -> System:
    """The oracle: a run over a topic in which nothing but these events is."""
    system = system_over(broker, topic, folder)
    for part in parts:
        send(broker.bootstrap, topic, part)
    assert system.drain() == 0, system.words()
    return system


def same(fault: str, calm: System, system: System) -> None:
    """Assert that the same became of the same events."""
    several = len(partitions(system.bootstrap, system.topic)) > 1
    expected, found = (told(one.lake, ordinals=not several) for one in (calm, system))
    note(KAFKA, fault, expected, differences(expected, found), system)


@pytest.mark.faults
def test_the_broker_is_killed_in_a_batch_and_started_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("killed")
    with Broker(folder / "broker") as own:
        system = system_over(own, "killed", folder, PARTITIONS)
        send(own.bootstrap, system.topic, events())
        stream = system.start("stream")
        system.wait_for("two batches", lambda: system.decided() > 30)
        own.kill()
        time.sleep(5)
        own.start()
        system.wait_for("all events", lambda: system.decided() == len(events()))
        assert system.stop(stream) == 0, system.words()
        calm = System(folder / "calm", own.bootstrap, system.topic)
        assert calm.drain() == 0, calm.words()
        compare(KAFKA, "broker killed in a batch", calm, system)


@pytest.mark.faults
def test_a_topic_made_anew_stops_the_stream(
    broker: Broker, tmp_path: Path, some: list[Event]
) -> None:
    """At its start, though the new one is longer; and while it runs."""
    system = system_over(broker, "anew", tmp_path)
    send(broker.bootstrap, system.topic, some[:20])
    assert system.drain() == 0, system.words()
    before = decided(system)
    remake(broker, system.topic)
    send(broker.bootstrap, system.topic, some)
    assert system.drain() == 1
    stopped(KAFKA, "topic re-created, longer", system, "it was re-created")
    assert decided(system) == before

    other = system_over(broker, "anew-too", tmp_path)
    send(broker.bootstrap, other.topic, some[:20])
    stream = other.start("stream")
    other.wait_for("events", lambda: other.decided() == 20)
    before = decided(other)
    remake(broker, other.topic)
    send(broker.bootstrap, other.topic, some)
    assert other.ended(stream) == 1, other.words()
    stopped(
        KAFKA, "topic re-created beside the stream", other, "was re-created while the stream ran"
    )
    assert decided(other) == before


def remake(broker: Broker, topic: str) -> None:
    delete_topic(broker.bootstrap, topic)
    create_topic(broker.bootstrap, topic, 1)


@pytest.mark.faults
def test_partitions_that_are_added_are_read_from_their_beginning(
    broker: Broker, tmp_path: Path
) -> None:
    some = distinct()
    system = system_over(broker, "grown", tmp_path)
    send(broker.bootstrap, system.topic, some[:20])
    stream = system.start("stream")
    system.wait_for("events", lambda: system.decided() == 20)
    with KafkaAdminClient(bootstrap_servers=broker.bootstrap) as admin:
        admin.create_partitions({system.topic: 3})
    time.sleep(1)
    send(broker.bootstrap, system.topic, some[20:40])
    system.wait_for("events of new partitions", lambda: system.decided() == 40)
    assert system.stop(stream) == 0, system.words()
    send(broker.bootstrap, system.topic, some[40:])
    crash(system, "pins.after")
    assert system.drain() == 0, system.words()
    assert decided(system) == sorted(readable(system))
    assert {partition for partition, _ in decided(system)} == {0, 1, 2}
    calm = System(tmp_path / "calm", broker.bootstrap, system.topic)
    assert calm.drain() == 0, calm.words()
    same("partitions added", calm, system)


@pytest.mark.faults
def test_events_that_expired_stop_the_stream_until_somebody_accepts_the_loss(
    broker: Broker, tmp_path: Path, some: list[Event]
) -> None:
    system = system_over(broker, "expired", tmp_path)
    send(broker.bootstrap, system.topic, some[:20])
    assert system.drain() == 0, system.words()
    send(broker.bootstrap, system.topic, some[20:50])
    with KafkaAdminClient(bootstrap_servers=broker.bootstrap) as admin:
        admin.delete_records({TopicPartition(system.topic, 0): 30})
    assert system.drain() == 1
    stopped(KAFKA, "offsets expired", system, "Kafka no longer has offsets 20 to 29 of partition 0")
    for place in ("losses.before", "losses.after"):
        crash(system, place, "stream", "--once", "--accept-loss")
    assert system.drain() == 0, system.words()
    send(broker.bootstrap, system.topic, some[50:])
    assert system.drain() == 0, system.words()
    assert decided(system) == [(0, offset) for offset in [*range(20), *range(30, 60)]]
    (loss,) = system.lake.rows("SELECT partition, first_offset, end_offset FROM losses")
    assert loss == {"partition": 0, "first_offset": 20, "end_offset": 30}
    kept = calm_over(broker, "kept", tmp_path, [some[:20], some[30:]])
    same("offsets expired, loss accepted, killed meanwhile", kept, system)


@pytest.mark.faults
def test_gaps_in_the_offsets_confuse_nobody(broker: Broker, tmp_path: Path) -> None:
    """Transactions leave marks, and what was taken back; compaction leaves holes."""
    some = distinct()
    system = system_over(
        broker,
        "gaps",
        tmp_path,
        cleanup_policy="compact",
        segment_ms="500",
        min_cleanable_dirty_ratio="0.01",
        max_compaction_lag_ms="500",
    )
    for number, (begin, kept) in enumerate([(0, True), (15, False), (20, True), (30, False)]):
        transaction(system, some[begin : begin + 10], kept)
        if number == 1:
            assert system.drain() == 0, system.words()
            assert decided(system) == sorted(readable(system))
    assert system.drain() == 0, system.words()
    seen = set(decided(system))
    assert decided(system) == sorted(readable(system)), "nothing that was taken back is there"
    send(broker.bootstrap, system.topic, [*some[:10], *some[:10]])
    compacted(system, seen)
    send(broker.bootstrap, system.topic, some[40:50])
    assert system.drain() == 0, system.words()
    assert set(decided(system)) >= readable(system)
    assert len(decided(system)) == len(set(decided(system)))
    parts = [some[:10], some[20:30], some[:10], some[40:50]]
    same("compacted, transactional topic", calm_over(broker, "whole", tmp_path, parts), system)


def transaction(system: System, sent: list[Event], commit: bool) -> None:
    producer = KafkaProducer(bootstrap_servers=system.bootstrap, transactional_id="test")
    try:
        producer.init_transactions()
        producer.begin_transaction()
        for key, value in sent:
            producer.send(system.topic, value, key=key)
        producer.flush()
        producer.commit_transaction() if commit else producer.abort_transaction()
    finally:
        producer.close()


def compacted(system: System, before: set[tuple[int, int]]) -> None:
    """Wait until the broker's cleaner has made holes among what was read before."""
    filler: Iterator[int] = iter(range(1000))

    def holes() -> bool:
        # the cleaner leaves the newest segment alone: a new one begins with a new record
        send(system.bootstrap, system.topic, [(b"filler", str(next(filler)).encode())])
        return not before <= readable(system)

    system.wait_for("holes", holes, seconds=120)
