"""Topics: create, delete, and tell apart from another one of the same name.

A broker is named by its ``kafka`` settings, or by ``host:port[,host:port...]`` alone if it asks for
neither TLS nor a password.
"""

import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from neardup.infra.kafka_security import client_options, servers_of
from neardup.schemas.errors import EnvironmentProblem
from neardup.schemas.settings import KafkaSettings

WAIT_SECONDS = 30.0

Kafka = KafkaSettings | str


def reachable(kafka: Kafka, seconds: float = 2.0) -> bool:
    """Whether something listens at one of the addresses."""
    for server in servers_of(kafka).split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=seconds):
                return True
        except OSError:
            continue
    return False


def require_listener(kafka: Kafka) -> None:
    """Raise EnvironmentProblem unless something listens at one of the addresses."""
    if not reachable(kafka):
        raise EnvironmentProblem(
            f"No Kafka broker listens at {servers_of(kafka)}: start one ('neardup broker') or mend "
            "kafka.bootstrap_servers in the settings."
        )


def answers(kafka: Kafka, seconds: float = 2.0) -> bool:
    """Whether a Kafka broker answers there: it listens and describes its cluster."""
    try:
        with _admin(kafka, seconds) as admin:
            return bool(admin.describe_cluster()["brokers"])
    except EnvironmentProblem:
        return False


def create_topic(kafka: Kafka, name: str, partitions: int, **configs: str | int) -> None:
    """Make a topic unless it is there, and return once every partition has a leader.

    configs: the topic's settings with ``_`` for ``.``: ``retention_ms=3_600_000``.
    Raises EnvironmentProblem if the broker does not answer or the topic is there with another
    number of partitions.
    """
    from kafka.errors import TopicAlreadyExistsError

    wanted = {
        "num_partitions": partitions,
        "replication_factor": -1,
        "configs": {key.replace("_", "."): str(value) for key, value in configs.items()},
    }
    with _admin(kafka) as admin:
        with suppress(TopicAlreadyExistsError):
            admin.create_topics({name: wanted})
        admin.wait_for_topics([name], timeout_ms=WAIT_SECONDS * 1000)
        found = len(_describe(admin, name)["partitions"])
    if found != partitions:
        raise EnvironmentProblem(
            f"Topic {name!r} at {servers_of(kafka)} has {found} partitions, not {partitions}: "
            f"ask for {found}, choose another topic, or delete this one."
        )


def delete_topic(kafka: Kafka, name: str) -> None:
    """Delete a topic and return once the broker knows it no more; nothing if there is none."""
    from kafka.errors import UnknownTopicOrPartitionError

    with _admin(kafka) as admin:
        try:
            admin.delete_topics([name])
        except UnknownTopicOrPartitionError:
            return
        deadline = time.monotonic() + WAIT_SECONDS
        while _describe(admin, name)["error_code"] == 0:
            if time.monotonic() > deadline:
                raise EnvironmentProblem(
                    f"Topic {name!r} at {servers_of(kafka)} is still there {WAIT_SECONDS:.0f} s "
                    "after its deletion: look into the broker's log."
                )
            time.sleep(0.05)


def topic_exists(kafka: Kafka, name: str) -> bool:
    """Raises EnvironmentProblem if no broker answers."""
    with _admin(kafka) as admin:
        return bool(_describe(admin, name)["error_code"] == 0)


def topic_id(kafka: Kafka, name: str) -> str:
    """The id that the broker gave the topic: a UUID, another one if the topic is made anew.

    Raises EnvironmentProblem if the broker does not answer or has no such topic.
    """
    return _uuid(_known(kafka, name))


def partitions(kafka: Kafka, name: str) -> list[int]:
    """The numbers of a topic's partitions. Raises EnvironmentProblem as ``topic_id`` does."""
    return sorted(partition["partition_index"] for partition in _known(kafka, name)["partitions"])


class TopicId:
    """A topic's id, asked again and again over one connection. For one thread at a time."""

    def __init__(self, kafka: Kafka, name: str) -> None:
        self._kafka = kafka
        self._name = name
        self._admin: Any = None

    def now(self) -> str:
        """The id that the topic has now. Raises EnvironmentProblem as ``topic_id`` does."""
        from kafka import KafkaAdminClient
        from kafka.errors import KafkaError

        try:
            if self._admin is None:
                require_listener(self._kafka)
                self._admin = KafkaAdminClient(**client_options(self._kafka))
            return _uuid(_described(self._admin, self._kafka, self._name))
        except (KafkaError, OSError) as error:
            self.close()
            raise _not_done(self._kafka, error) from error

    def close(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()


def offset_ranges(kafka: Kafka, name: str, seconds: float = 5.0) -> dict[int, tuple[int, int]]:
    """Partition -> (first offset that is there, one past the last). Raises EnvironmentProblem."""
    from kafka import TopicPartition
    from kafka.admin import OffsetSpec

    with _admin(kafka, seconds) as admin:
        described = _described(admin, kafka, name)
        numbers = [partition["partition_index"] for partition in described["partitions"]]
        ends = []
        for spec in (OffsetSpec.EARLIEST, OffsetSpec.LATEST):
            wanted = {TopicPartition(name, number): spec for number in numbers}
            found = admin.list_partition_offsets(wanted)
            ends.append({partition.partition: at.offset for partition, at in found.items()})
    return {number: (ends[0][number], ends[1][number]) for number in numbers}


def _known(kafka: Kafka, name: str) -> dict[str, Any]:
    with _admin(kafka) as admin:
        return _described(admin, kafka, name)


def _described(admin: Any, kafka: Kafka, name: str) -> dict[str, Any]:
    described = _describe(admin, name)
    if described["error_code"] != 0:
        raise EnvironmentProblem(
            f"There is no topic {name!r} at {servers_of(kafka)}: create it, or mend kafka.topic in "
            "the settings."
        )
    return described


@contextmanager
def _admin(kafka: Kafka, seconds: float = WAIT_SECONDS) -> Iterator[Any]:
    require_listener(kafka)  # an admin client that finds nobody leaves its thread behind
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    milliseconds = int(seconds * 1000)
    try:
        with KafkaAdminClient(
            **client_options(kafka),
            bootstrap_timeout_ms=milliseconds,
            request_timeout_ms=milliseconds,
        ) as admin:
            yield admin
    except (KafkaError, OSError) as error:
        raise _not_done(kafka, error) from error


def _not_done(kafka: Kafka, error: Exception) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"The Kafka broker at {servers_of(kafka)} did not do as asked ({error}): look into its "
        "log, and compare its listener with the settings in [kafka]."
    )


def _uuid(described: dict[str, Any]) -> str:
    return str(uuid.UUID(str(described["topic_id"])))


def _describe(admin: Any, name: str) -> dict[str, Any]:
    topics: list[dict[str, Any]] = admin.describe_topics([name])
    return topics[0]
