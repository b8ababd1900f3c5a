"""How much memory this process and all its children take together."""

import threading
from types import TracebackType
from typing import Self

import psutil

SAMPLE_SECONDS = 3.0


class PeakMemory:
    """Samples while its ``with`` block runs; ``peak`` in bytes.

    Proportional set size where the system tells it (Linux), so that pages shared by forked
    workers count once; resident set size elsewhere.
    """

    def __init__(self) -> None:
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            own = psutil.Process()
            total = sum(_memory(process) for process in [own, *own.children(recursive=True)])
            self.peak = max(self.peak, total)


def _memory(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
    except psutil.Error:  # it ended between the listing and the question
        return 0
    return int(getattr(full, "pss", full.rss))
