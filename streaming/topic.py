"""The topic that the stream began with: where it goes on, and whether it is still the same."""

from pathlib import Path
from typing import NamedTuple, Self

from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from neardup.infra.topics import TopicId, offset_ranges, topic_id
from neardup.schemas.errors import EnvironmentProblem, StreamError
from neardup.schemas.settings import KafkaSettings
from neardup.streaming.checkpoint import fit_to_log
from neardup.streaming.resume import (
    accept_losses,
    behind_the_first,
    due_of,
    lost_ranges,
    require_whole,
    starting_offsets,
)
from neardup.streaming.state import State

PATIENCE_SECONDS = 120.0
"""How long a batch waits for a broker that restarts; Spark's own readers wait as long."""


class Beginning(NamedTuple):
    """``offsets``: Spark's JSON, used where no checkpoint is or where it does not fit;
    ``waiting``: how many offsets of the topic are not decided yet; ``first_ends``: as ``offsets``,
    behind the first that waits in each partition."""

    offsets: str
    waiting: int
    first_ends: str


class Topic:
    """Made before the first batch; ``close`` it after the last. Raises EnvironmentProblem."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._watch = TopicId(kafka, kafka.topic)
        self.id = topic_id(kafka, kafka.topic)

    def beginning(self, state: State, checkpoint: Path, accept_loss: bool) -> Beginning:
        """Where the stream goes on.

        Raises StreamError if events are gone that were due, unless ``accept_loss``: then the
        ranges go to `losses`, and the stream goes on behind them.
        """
        name = self._kafka.topic
        due, ranges = due_of(state), offset_ranges(self._kafka, name)
        lost = lost_ranges(due, ranges)
        if lost and accept_loss:
            accept_losses(state.lake, state.topic_id, state.batch_seq, lost)
            due = due_of(state)
        require_whole(name, due, ranges)
        fit_to_log(checkpoint, name, due)
        waiting = sum(end - due.get(partition, first) for partition, (first, end) in ranges.items())
        behind = behind_the_first(ranges, due)
        return Beginning(
            starting_offsets(name, ranges, due), waiting, starting_offsets(name, ranges, behind)
        )

    @retry(
        retry=retry_if_exception_type(EnvironmentProblem),
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_fixed(1),
        reraise=True,
    )
    def require_same(self) -> None:
        """Raise StreamError if another topic has the name now.

        Asked between the reading of a batch and its first commit: ids never come back, so what was
        read before the answer was read from this topic.
        """
        self._require(self._watch.now())

    def explain(self, state: State) -> None:
        """After a batch failed: raise a sentence if the topic or its broker is the reason."""
        self._require(topic_id(self._kafka, self._kafka.topic))
        require_whole(
            self._kafka.topic, due_of(state), offset_ranges(self._kafka, self._kafka.topic)
        )

    def _require(self, found: str) -> None:
        if found != self.id:
            raise StreamError(
                f"Topic {self._kafka.topic} was re-created while the stream ran: it was {self.id}, "
                f"now it is {found}. Nothing of the new one is in the tables. Give it a lake of "
                "its own."
            )

    def close(self) -> None:
        self._watch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
