"""Something done again and again beside the work of a ``with`` block."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Background:
    """Calls ``turn`` every ``seconds`` in a thread of its own while the ``with`` block runs.

    What ``turn`` raises ends the thread and is raised where the block ends, unless the block itself
    failed.
    """

    def __init__(self, turn: Callable[[], None], seconds: float) -> None:
        self._turn = turn
        self._seconds = seconds
        self._done = threading.Event()
        self._failure: Exception | None = None
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
        if self._failure is not None and error is None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._done.wait(self._seconds):
                self._turn()
        except Exception as failure:
            self._failure = failure
