"""Send pin events to Kafka, and know that each one arrived."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from kafka import KafkaProducer
from kafka.errors import KafkaError

from neardup.infra.kafka_security import client_options, servers_of
from neardup.infra.topics import require_listener
from neardup.models.embed import open_embedder
from neardup.models.images import decode
from neardup.schemas.errors import BadEvent, EnvironmentProblem
from neardup.schemas.events import PinEvent, encode_embedding, encode_event
from neardup.schemas.settings import KafkaSettings, ModelSettings

MAX_REQUEST_BYTES = 8 * 1024 * 1024
SEND_SECONDS = 60.0


class PinProducer:
    """A kafka-python producer for pin events; leaving the ``with`` block checks every future.

    ``kafka``: the settings, or ``host:port`` of a broker that asks for neither TLS nor a password.
    """

    def __init__(self, kafka: KafkaSettings | str, topic: str) -> None:
        self._topic = topic
        self._pending: deque[tuple[str, Any]] = deque()
        require_listener(kafka)  # a producer that finds nobody leaves sockets behind
        try:
            self._producer = KafkaProducer(
                **client_options(kafka), max_request_size=MAX_REQUEST_BYTES, linger_ms=5
            )
        except KafkaError as error:
            raise EnvironmentProblem(
                f"No Kafka broker answers at {servers_of(kafka)} as the settings in [kafka] say "
                f"({error}): start one with `neardup broker`, or mend them."
            ) from error

    def send(self, event: PinEvent) -> None:
        """Queue one event; an earlier one that failed is raised here."""
        self.send_raw(event.pin_id.encode("utf-8"), encode_event(event))

    def delete(self, pin_id: str) -> None:
        """Queue a null value: the pin is gone."""
        self.send_raw(pin_id.encode("utf-8"), None)

    def send_raw(self, key: bytes | None, value: bytes | None) -> None:
        """Queue any bytes, good or bad."""
        self._pending.append((repr(key), self._producer.send(self._topic, value, key=key)))
        while self._pending and self._pending[0][1].is_done:
            self._check(*self._pending.popleft())

    def flush(self) -> None:
        """Wait until the broker has every event. Raises EnvironmentProblem if it refuses one."""
        self._producer.flush(timeout=SEND_SECONDS)
        while self._pending:
            self._check(*self._pending.popleft())

    def _check(self, key: str, future: Any) -> None:
        try:
            future.get(timeout=SEND_SECONDS)
        except KafkaError as error:
            raise EnvironmentProblem(
                f"The broker did not take event {key} for topic {self._topic!r}: {error}. "
                "Does the topic exist, and does it allow events of this size?"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self._producer.close(timeout=1.0)


PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".gif"}


def folder_events(folder: Path, carry: str, models: ModelSettings) -> Iterator[PinEvent]:
    """An event for every picture below ``folder``, in the order of their paths.

    ``carry``: "image" (the bytes), "uri" (the path), or "embedding" (computed here). Raises
    BadEvent, naming the file, if a picture has to be embedded and cannot be read.
    """
    picture = _carriers(models)[carry]
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in PICTURES:
            pin_id = path.relative_to(folder).as_posix()
            yield PinEvent(pin_id=pin_id, created_at=datetime.now(UTC), **picture(path))


def _carriers(models: ModelSettings) -> dict[str, Callable[[Path], dict[str, Any]]]:
    def embedding(path: Path) -> dict[str, Any]:
        embedder = open_embedder(models.embedder, weights=models.embedder_weights)
        try:
            vector = embedder.embed([decode(path.read_bytes())])[0]
        except BadEvent as bad:
            raise BadEvent(bad.reason, f"{path}: {bad.detail}") from None
        return {"embedding": encode_embedding(embedder.name, vector)}

    return {
        "image": lambda path: {"image": path.read_bytes()},
        "uri": lambda path: {"image_uri": path.resolve().as_uri()},
        "embedding": embedding,
    }


def jsonl_events(lines: Iterable[bytes]) -> Iterator[PinEvent]:
    """The events of JSON lines. Raises msgspec.ValidationError for a line that is none."""
    for line in lines:
        if line.strip():
            yield msgspec.json.decode(line, type=PinEvent)


Event = TypeVar("Event")


def paced(events: Iterable[Event], per_second: float | None) -> Iterator[Event]:
    """The events, no faster than ``per_second``; as fast as they are taken if None."""
    begin = time.monotonic()
    for number, event in enumerate(events):
        if per_second:
            time.sleep(max(0.0, begin + number / per_second - time.monotonic()))
        yield event
