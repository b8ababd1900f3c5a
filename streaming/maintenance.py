"""What runs beside the stream: it keeps commits cheap and publishes what compaction prepared."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from neardup.infra.background import Background
from neardup.infra.memory import give_back
from neardup.schemas.lake import Lake

log = logging.getLogger(__name__)

TURN_SECONDS = 1.0


class Maintenance(Background):
    """Runs while its ``with`` block runs. A failure is logged and tried again later."""

    def __init__(self, path: Path, every_seconds: float, publish: Callable[[Lake], None]) -> None:
        super().__init__(self._take_turn, TURN_SECONDS)
        self._lake = Lake(path)  # delta-rs handles are not shared between threads
        self._every = every_seconds
        self._publish = publish
        self._due = time.monotonic() + every_seconds
        self._generations = -1  # look at the start too: one may have been prepared before

    def _take_turn(self) -> None:
        try:
            self._publish_if_new()
            self._lake.shorten_logs()
            if time.monotonic() >= self._due:
                self._due = time.monotonic() + self._every
                self._maintain()
        except Exception:
            log.exception("maintenance failed; it is tried again in %.0f s", self._every)

    def _publish_if_new(self) -> None:
        if self._lake.table("generations").version() != self._generations:
            self._publish(self._lake)
            self._generations = self._lake.table("generations").version()

    def _maintain(self) -> None:
        begin = time.perf_counter()
        self._lake.maintain()
        give_back()
        log.info("maintenance: %.2f s", time.perf_counter() - begin)
