"""When does a pin become visible? Seen as any reader sees it: from the `clusters` table's files."""

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

import pyarrow.parquet as pq

from neardup.schemas.lake import Lake

POLL_SECONDS = 0.05


class Watcher:
    """A thread that notes in ``seen`` when (``time.monotonic``) each pin id first had a row."""

    def __init__(self, path: Path) -> None:
        self.seen: dict[str, float] = {}
        self._lake = Lake(path)
        self._files: set[str] = set()
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
        version = -1
        while not self._done.wait(POLL_SECONDS):
            table = self._lake.table("clusters")
            if table.version() != version:
                version = table.version()
                now = time.monotonic()
                files = set(table.file_uris())
                for file in files - self._files:
                    self._note(file, now)
                self._files = files

    def _note(self, file: str, now: float) -> None:
        path = unquote(urlsplit(file).path) if "://" in file else file
        for pin_id in pq.read_table(path, columns=["pin_id"])["pin_id"].to_pylist():
            self.seen.setdefault(pin_id, now)
