"""Quarantined events go to the topic again."""

from collections.abc import Iterable
from typing import Any

from neardup.schemas.settings import KafkaSettings
from neardup.streaming.produce import PinProducer


def send_again(kafka: KafkaSettings, rows: Iterable[dict[str, Any]]) -> None:
    """Send the ``key`` and ``value`` of each row, in their order, as bytes, and see them arrive.

    Raises EnvironmentProblem if the broker does not answer or refuses one; those before it are
    sent, and harmless if they are sent once more.
    """
    with PinProducer(kafka, kafka.topic) as producer:
        for row in rows:
            producer.send_raw(row["key"], row["value"])
