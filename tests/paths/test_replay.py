"""`neardup quarantine replay`: the broker gets key and value as they came."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from kafka import KafkaConsumer, TopicPartition

from neardup.cli.main import cli
from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic
from neardup.schemas.lake import Lake

pytestmark = pytest.mark.path

EVENTS = [(b"rose", b'{"pin_id": "rose"}'), (b"\xff", b"\x00" * 9), (None, b"{"), (b"gone", None)]


def test_bytes_arrive_as_they_were(broker: Broker, tmp_path: Path) -> None:
    create_topic(broker.bootstrap, "again", 1)
    common = {"topic_id": "old", "partition": 0, "reason": "not_json", "detail": ""}
    rows = [
        {**common, "offset": n, "key": key, "value": value, "kafka_time": datetime.now(UTC)}
        for n, (key, value) in enumerate(EVENTS)
    ]
    Lake.create(tmp_path / "lake").append_rows("quarantine", rows)
    config = tmp_path / "neardup.toml"
    config.write_text(
        f'[lake]\npath = "lake"\n[kafka]\ntopic = "again"\n'
        f'bootstrap_servers = "{broker.bootstrap}"\n',
        "utf-8",
    )
    said = CliRunner().invoke(cli, ["quarantine", "replay", "--config", str(config), "--yes"])
    assert said.exit_code == 0 and "4 events sent to again" in said.output, said.output
    consumer = KafkaConsumer(
        bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=2_000
    )
    consumer.assign([TopicPartition("again", 0)])
    assert [(record.key, record.value) for record in consumer] == EVENTS
    consumer.close()
