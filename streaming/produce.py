"""Send pin events to Kafka, and know that each one arrived."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

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
PENDING_BYTES = 64 * 2**20
"""Of events that the broker has not taken yet: kafka-python would queue any number of them."""


class Sent(NamedTuple):
    """An event that the broker may not have yet."""

    key: str
    bytes: int
    future: Any


class PinProducer:
    """A kafka-python producer for pin events; leaving the ``with`` block checks every future.

    ``pending_bytes``: of events that the broker has not been seen to take.
    ``kafka``: the settings, or ``host:port`` of a broker that asks for neither TLS nor a password.
    """

    def __init__(self, kafka: KafkaSettings | str, topic: str) -> None:
        self._topic = topic
        self._pending: deque[Sent] = deque()
        self.pending_bytes = 0
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
        """Queue any bytes, good or bad; wait while the broker has too many of them to take."""
        future = self._producer.send(self._topic, value, key=key)
        self._pending.append(Sent(repr(key), len(value or b""), future))
        self.pending_bytes += self._pending[-1].bytes
        while self._pending and (
            self._pending[0].future.is_done or self.pending_bytes > PENDING_BYTES
        ):
            self._check_first()

    def flush(self) -> None:
        """Wait until the broker has every event. Raises EnvironmentProblem if it refuses one."""
        while self._pending:
            self._check_first()

    def _check_first(self) -> None:
        """Wait for the event that was queued first."""
        first = self._pending.popleft()
        self.pending_bytes -= first.bytes
        try:
            first.future.get(timeout=SEND_SECONDS)
        except KafkaError as error:
            raise EnvironmentProblem(
                f"The broker did not take event {first.key} for topic {self._topic!r}: {error}. "
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
