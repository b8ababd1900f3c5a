"""A whole system in one folder: broker, topic, lake, settings. For evaluation, demo and tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic
from neardup.schemas.settings import Settings, load_settings


@contextmanager
def local_system(
    directory: Path, partitions: int = 4, **overrides: dict[str, Any]
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
