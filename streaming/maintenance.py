"""The thread beside the stream that keeps commits cheap and publishes what compaction prepared."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from neardup.schemas.lake import Lake

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0


class Maintenance:
    """Runs while its ``with`` block runs. A failure is logged and tried again at the next turn."""

    def __init__(self, path: Path, every_seconds: float, publish: Callable[[Lake], None]) -> None:
        self._lake = Lake(path)  # delta-rs handles are not shared between threads
        self._every = every_seconds
        self._publish = publish
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="maintenance", daemon=True)

    def __enter__(self) -> "Maintenance":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic() + self._every
        generations = self._lake.table("generations").version()
        while not self._done.wait(TICK_SECONDS):
            try:
                version = self._lake.table("generations").version()
                if version != generations:
                    self._publish(self._lake)
                    generations = self._lake.table("generations").version()
                if time.monotonic() >= due:
                    due = time.monotonic() + self._every
                    self._maintain()
            except Exception:
                log.exception("maintenance failed; it is tried again in %.0f s", self._every)

    def _maintain(self) -> None:
        begin = time.perf_counter()
        self._lake.maintain()
        log.info("maintenance: %.2f s", time.perf_counter() - begin)
