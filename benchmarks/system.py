"""A whole system in one folder: broker, topic, lake, settings. For evaluation, demo and tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic
from neardup.schemas.settings import KafkaSettings, Settings, load_settings

PARTITIONS = 4

_OF_A_PROCESS = """\
[lake]
path = "lake"
[kafka]
bootstrap_servers = "{bootstrap}"
topic = "{topic}"
[spark]
driver_memory = "1g"
"""


@contextmanager
def local_system(
    directory: Path, partitions: int = PARTITIONS, **overrides: dict[str, Any]
) -> Iterator[Settings]:
    """Settings of a system that runs inside ``directory`` while the block runs.

    ``partitions`` of its topic. ``overrides``: settings by section, as for ``load_settings``.
    """
    with Broker(directory / "kafka") as broker:
        create_topic(broker.bootstrap, "pins", partitions)
        sections: dict[str, dict[str, Any]] = {
            **overrides,
            "kafka": {"bootstrap_servers": broker.bootstrap, "topic": "pins"},
            "lake": {"path": directory / "lake"},
        }
        yield load_settings(None, **sections)


def topic_of(broker: Broker, name: str) -> KafkaSettings:
    """A new topic of a broker."""
    create_topic(broker.bootstrap, name, PARTITIONS)
    return KafkaSettings(bootstrap_servers=broker.bootstrap, topic=name)


def settings_file(directory: Path, kafka: KafkaSettings, more: str = "") -> Path:
    """``neardup.toml`` in a directory, which is made: for commands with a lake in it.

    ``more``: further sections, as TOML.
    """
    directory.mkdir(exist_ok=True, parents=True)
    path = directory / "neardup.toml"
    text = _OF_A_PROCESS.format(bootstrap=kafka.bootstrap_servers, topic=kafka.topic)
    path.write_text(text + more, "utf-8")
    return path
