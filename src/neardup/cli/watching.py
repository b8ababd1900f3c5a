"""What `neardup stream` and `neardup status` see of a lake and its topic."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from neardup.answers.health import Limits
from neardup.answers.metrics import Report, StreamMetrics
from neardup.answers.overview import Figures, Overview
from neardup.infra.memory import resident
from neardup.infra.topics import offset_ranges, topic_id
from neardup.infra.web import serving
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings

log = logging.getLogger(__name__)


class Watched:
    """The lake and the topic of some settings, each opened when it is first asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._overview: Overview | None = None
        self._topic_id: str | None = None

    def figures(self) -> Figures:
        """Raises LakeError if there is no lake."""
        self._overview = self._overview or Overview(Lake(self._settings.lake.path))
        return self._overview.figures()

    def topic_id(self) -> str:
        """Raises EnvironmentProblem if no broker answers, or it has no such topic."""
        kafka = self._settings.kafka
        self._topic_id = self._topic_id or topic_id(kafka, kafka.topic)
        return self._topic_id

    def ranges(self) -> dict[int, tuple[int, int]]:
        """Partition -> (first offset, one past the last). Raises as ``topic_id`` does."""
        return offset_ranges(self._settings.kafka, self._settings.kafka.topic)

    def memory(self) -> dict[str, int]:
        return resident()

    @contextmanager
    def serving(self) -> Iterator[Callable[[Report], None]]:
        """Serve metrics and health while the block runs; gives what to call after each batch."""
        stream = self._settings.stream
        limits = Limits(stream.max_lag_events, stream.max_batch_seconds, stream.max_start_seconds)
        metrics = StreamMetrics(self, limits)
        with serving(
            stream.metrics_host, stream.metrics_port, metrics.registry, metrics.complaint
        ) as port:
            log.info("metrics and health at http://%s:%d", stream.metrics_host, port)
            yield metrics.on_batch


def next_batch(path: Path) -> int:
    """The number of the batch that comes next in the lake at ``path``; 0 if there is none yet."""
    try:
        (row,) = Lake(path).rows("SELECT coalesce(max(batch_seq), -1) AS last FROM pins")
    except LakeError:  # a bad one is refused a moment later, by the writer
        return 0
    return int(row["last"]) + 1
