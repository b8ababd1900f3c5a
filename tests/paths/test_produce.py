"""`neardup produce`, and what a producer learns when the broker refuses an event."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from kafka import KafkaConsumer, TopicPartition

from neardup.cli.main import cli
from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic
from neardup.schemas.errors import EnvironmentProblem
from neardup.schemas.events import PinEvent, parse_event
from neardup.streaming import produce
from neardup.streaming.produce import PinProducer
from tests.paths.pictures import PHOTOS, encoded, photos

pytestmark = pytest.mark.path


def events_of(bootstrap: str, topic: str) -> list[tuple[bytes, PinEvent | str]]:
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=3_000
    )
    consumer.assign([TopicPartition(topic, 0)])
    found = [(record.key, parse_event(record.key, record.value, 10**7)) for record in consumer]
    consumer.close()
    return found


def test_a_folder_goes_out_in_each_form(broker: Broker, tmp_path: Path) -> None:
    create_topic(broker.bootstrap, "forms", 1)
    config = tmp_path / "neardup.toml"
    config.write_text(
        f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\ntopic = "forms"\n', "utf-8"
    )
    pictures = tmp_path / "pictures" / "below"
    pictures.mkdir(parents=True)
    for name, picture in photos(2).items():
        (pictures / f"{name}.jpg").write_bytes(encoded(picture))
    (pictures / "notes.txt").write_text("not a picture", "utf-8")
    for carry in ("image", "uri", "embedding"):
        run = ["produce", "--config", str(config), "--images", str(pictures.parent)]
        sent = CliRunner().invoke(cli, [*run, "--carry", carry])
        assert sent.exit_code == 0 and "sent 2 events" in sent.output, sent.output
    deleted = CliRunner().invoke(cli, ["produce", "--config", str(config), "--delete", "gone"])
    assert deleted.exit_code == 0, deleted.output
    found = events_of(broker.bootstrap, "forms")
    ids = [f"below/{name}.jpg" for name in photos(2)]
    assert [key.decode() for key, _ in found] == [*ids * 3, "gone"]
    forms = [event for _, event in found if isinstance(event, PinEvent)]
    assert all(event.image for event in forms[:2])
    assert all(
        event.image_uri == (pictures / Path(event.pin_id).name).as_uri() for event in forms[2:4]
    )
    assert all(event.embedding and event.embedding.model == "mobilenet_v1" for event in forms[4:])


def test_a_producer_waits_for_a_broker_that_is_behind(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(produce, "PENDING_BYTES", 10_000)
    create_topic(broker.bootstrap, "behind", 1)
    with PinProducer(broker.bootstrap, "behind") as producer:
        held = []
        for i in range(50):
            producer.send_raw(f"pin-{i}".encode(), bytes(4_000))
            held.append(producer.pending_bytes)
    assert 4_000 <= max(held) <= 10_000
    assert producer.pending_bytes == 0


def test_a_refused_event_is_an_error(broker: Broker) -> None:
    create_topic(broker.bootstrap, "small", 1, max_message_bytes=10_000)
    with (
        pytest.raises(EnvironmentProblem, match="did not take event"),
        PinProducer(broker.bootstrap, "small") as producer,
    ):
        producer.send_raw(b"large", bytes(50_000))


def test_the_demo_has_its_photos() -> None:
    assert len(list(PHOTOS.glob("*.jpg"))) == 300
    assert (PHOTOS / "README.md").is_file() and (PHOTOS / "sources.csv").is_file()
