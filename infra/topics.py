"""Topics: create, delete, and tell apart from another one of the same name."""

import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from neardup.schemas.errors import EnvironmentProblem

WAIT_SECONDS = 30.0


def reachable(bootstrap: str, seconds: float = 2.0) -> bool:
    """Whether something listens at one of ``host:port[,host:port...]``."""
    for server in bootstrap.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=seconds):
                return True
        except OSError:
            continue
    return False


def require_listener(bootstrap: str) -> None:
    """Raise EnvironmentProblem unless something listens at one of ``host:port[,host:port...]``."""
    if not reachable(bootstrap):
        raise EnvironmentProblem(
            f"No Kafka broker listens at {bootstrap}: start one ('neardup broker') or mend "
            "kafka.bootstrap_servers in the settings."
        )


def answers(bootstrap: str, seconds: float = 2.0) -> bool:
    """Whether a Kafka broker answers there: it listens and describes its cluster."""
    try:
        with _admin(bootstrap, seconds) as admin:
            return bool(admin.describe_cluster()["brokers"])
    except EnvironmentProblem:
        return False


def create_topic(bootstrap: str, name: str, partitions: int, **configs: str | int) -> None:
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
    with _admin(bootstrap) as admin:
        with suppress(TopicAlreadyExistsError):
            admin.create_topics({name: wanted})
        admin.wait_for_topics([name], timeout_ms=WAIT_SECONDS * 1000)
        found = len(_describe(admin, name)["partitions"])
    if found != partitions:
        raise EnvironmentProblem(
            f"Topic {name!r} at {bootstrap} has {found} partitions, not {partitions}: ask for "
            f"{found}, choose another topic, or delete this one."
        )


def delete_topic(bootstrap: str, name: str) -> None:
    """Delete a topic and return once the broker knows it no more; nothing if there is none."""
    from kafka.errors import UnknownTopicOrPartitionError

    with _admin(bootstrap) as admin:
        try:
            admin.delete_topics([name])
        except UnknownTopicOrPartitionError:
            return
        deadline = time.monotonic() + WAIT_SECONDS
        while _describe(admin, name)["error_code"] == 0:
            if time.monotonic() > deadline:
                raise EnvironmentProblem(
                    f"Topic {name!r} at {bootstrap} is still there {WAIT_SECONDS:.0f} s after its "
                    "deletion: look into the broker's log."
                )
            time.sleep(0.05)


def topic_exists(bootstrap: str, name: str) -> bool:
    """Raises EnvironmentProblem if no broker answers."""
    with _admin(bootstrap) as admin:
        return bool(_describe(admin, name)["error_code"] == 0)


def topic_id(bootstrap: str, name: str) -> str:
    """The id that the broker gave the topic: a UUID, another one if the topic is made anew.

    Raises EnvironmentProblem if the broker does not answer or has no such topic.
    """
    return str(uuid.UUID(str(_known(bootstrap, name)["topic_id"])))


def partitions(bootstrap: str, name: str) -> list[int]:
    """The numbers of a topic's partitions. Raises EnvironmentProblem as ``topic_id`` does."""
    return sorted(
        partition["partition_index"] for partition in _known(bootstrap, name)["partitions"]
    )


def _known(bootstrap: str, name: str) -> dict[str, Any]:
    with _admin(bootstrap) as admin:
        described = _describe(admin, name)
    if described["error_code"] != 0:
        raise EnvironmentProblem(
            f"There is no topic {name!r} at {bootstrap}: create it, or mend kafka.topic in the "
            "settings."
        )
    return described


@contextmanager
def _admin(bootstrap: str, seconds: float = WAIT_SECONDS) -> Iterator[Any]:
    require_listener(bootstrap)  # an admin client that finds nobody leaves its thread behind
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    milliseconds = int(seconds * 1000)
    try:
        with KafkaAdminClient(
            bootstrap_servers=bootstrap,
            bootstrap_timeout_ms=milliseconds,
            request_timeout_ms=milliseconds,
        ) as admin:
            yield admin
    except (KafkaError, OSError) as error:
        raise EnvironmentProblem(
            f"The Kafka broker at {bootstrap} did not do as asked ({error}): look into its log."
        ) from error


def _describe(admin: Any, name: str) -> dict[str, Any]:
    topics: list[dict[str, Any]] = admin.describe_topics([name])
    return topics[0]
