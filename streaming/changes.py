"""Every change of membership goes to a Kafka topic too, at least once: ``docs/changes.md``.

A thread of the stream tails the committed tables (``outbox``) and sends what they say, one step
after the other; a step counts as sent when the broker has all of it. How far it came is kept in a
file beside the tables, before and after every step, so what the topic keeps, compacts or drops does
not matter. While the topic cannot be reached the stream goes on, the tables hold what waits, and
the log says how much that is.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from kafka import KafkaProducer
from kafka.errors import KafkaError

from neardup.infra.background import Background
from neardup.infra.kafka_security import client_options
from neardup.infra.topics import topic_exists, topic_id
from neardup.schemas.changes import ClusterChange, encode_change
from neardup.schemas.errors import EnvironmentProblem, LakeError
from neardup.schemas.lake import Lake
from neardup.schemas.settings import KafkaSettings, Settings
from neardup.streaming.outbox import Outbox, Progress, Step

log = logging.getLogger(__name__)

TURN_SECONDS = 0.2
RETRY_SECONDS = 5.0
ACKNOWLEDGED_SECONDS = 10.0


@contextmanager
def publishing(settings: Settings) -> Iterator[None]:
    """While the block runs, changes go to ``kafka.changes_topic``; nothing if that is empty.

    At its end what is committed is sent, if the broker takes it. Raises EnvironmentProblem if
    there is no such topic.
    """
    topic = settings.kafka.changes_topic
    if not topic:
        yield
        return
    kafka = settings.kafka
    if not topic_exists(kafka, topic):
        raise EnvironmentProblem(
            f"There is no topic {topic!r} at {kafka.bootstrap_servers} for changes of clusters: "
            'create it, mend kafka.changes_topic in the settings, or set it to "" to send none.'
        )
    progress = ProgressFile(settings.lake.path, topic_id(kafka, topic))
    with Changes(Lake(settings.lake.path), progress, Sender(kafka, topic)):
        yield


class ProgressFile:
    """How far a topic was sent: written whole, under the id that the broker gave the topic.

    A topic that was made anew has another id, and is sent everything.
    """

    def __init__(self, lake: Path, topic: str) -> None:
        self._path = lake / "_changes" / f"{topic}.json"

    def read(self) -> Progress:
        if not self._path.exists():
            return Progress()
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Progress)
        except msgspec.MsgspecError as error:
            raise LakeError(
                f"{self._path} does not say how far the changes were sent ({error}): delete it, "
                "and all memberships are sent again."
            ) from None

    def write(self, progress: Progress) -> None:
        self._path.parent.mkdir(exist_ok=True)
        beside = self._path.with_suffix(".tmp")
        beside.write_bytes(msgspec.json.encode(progress))
        beside.replace(self._path)


class Sender:
    """A kafka-python producer that is made anew after each failure."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._options = client_options(kafka)
        self._topic = topic
        self._producer: Any = None

    def send(self, changes: list[ClusterChange]) -> None:
        """Return once the broker has all of them. Raises KafkaError or OSError."""
        if self._producer is None:
            self._producer = KafkaProducer(
                **self._options,
                acks="all",
                linger_ms=5,
                allow_auto_create_topics=False,
                bootstrap_timeout_ms=5_000,
                max_block_ms=5_000,
                request_timeout_ms=5_000,
                delivery_timeout_ms=int(ACKNOWLEDGED_SECONDS * 1_000),
            )
        pending = [
            self._producer.send(self._topic, encode_change(change), key=change.pin_id.encode())
            for change in changes
        ]
        self._producer.flush(timeout=ACKNOWLEDGED_SECONDS)
        for future in pending:
            future.get(timeout=ACKNOWLEDGED_SECONDS)

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close(timeout=1.0)
            self._producer = None


class Changes(Background):
    """Sends while its ``with`` block runs, and what is left at its end."""

    def __init__(self, lake: Lake, progress: ProgressFile, sender: Sender) -> None:
        super().__init__(self._take_turn, TURN_SECONDS)
        self._lake = lake
        self._progress = progress
        self._sender = sender
        self._outbox: Outbox | None = None
        self._sent = progress.read()
        self._step: Step | None = None
        self._seen: tuple[int, ...] | None = None
        self._again_at = 0.0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        self._again_at = 0.0
        self._take_turn()
        self._sender.close()

    def _take_turn(self) -> None:
        if time.monotonic() < self._again_at:
            return
        try:
            self._send_all()
        except (KafkaError, OSError) as failure:
            self._sender.close()
            self._later(f"{type(failure).__name__}: {failure}")
        except Exception:
            log.exception("changes of clusters: the tables could not be read")
            self._outbox = self._step = None  # read again from what was sent
            self._later("see above")

    def _later(self, why: str) -> None:
        self._again_at = time.monotonic() + RETRY_SECONDS
        behind = self._outbox.behind() if self._outbox else 0
        log.warning(
            "changes of clusters: %d batches wait (%s); tried again in %.0f s",
            behind + (self._step is not None),
            why,
            RETRY_SECONDS,
        )

    def _send_all(self) -> None:
        versions = tuple(self._lake.table(name).version() for name in ("generations", "clusters"))
        if versions == self._seen and self._step is None:
            return
        self._outbox = self._outbox or Outbox(self._lake, self._sent)
        while (step := self._step or self._outbox.next_step()) is not None:
            self._step = step
            self._send(step)
            self._step = None
        self._seen = versions

    def _send(self, step: Step) -> None:
        begin = time.perf_counter()
        self._note(Progress(self._sent.sent, step.to))
        for changes in step.chunks():
            self._sender.send(changes)
        self._note(Progress(step.to))
        log.info(
            "changes of clusters: %d of batch %d, generation %d, sent in %.2f s",
            len(step),
            step.to.batch_seq,
            step.to.generation,
            time.perf_counter() - begin,
        )

    def _note(self, progress: Progress) -> None:
        self._progress.write(progress)
        self._sent = progress
