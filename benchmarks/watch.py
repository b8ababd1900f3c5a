"""When does a pin become visible? Seen as any reader sees it: from the `clusters` table's files."""

import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow.parquet as pq

from neardup.infra.background import Background
from neardup.schemas.lake import Lake

POLL_SECONDS = 0.05


class Watcher(Background):
    """Notes in ``seen`` when (``time.monotonic``) each pin id first had a row."""

    def __init__(self, path: Path) -> None:
        super().__init__(self._look, POLL_SECONDS)
        self.seen: dict[str, float] = {}
        self._lake = Lake(path)
        self._version = -1
        self._files: set[str] = set()

    def _look(self) -> None:
        table = self._lake.table("clusters")
        if table.version() == self._version:
            return
        self._version, now = table.version(), time.monotonic()
        files = set(table.file_uris())
        for file in files - self._files:
            self._note(file, now)
        self._files = files

    def _note(self, file: str, now: float) -> None:
        path = unquote(urlsplit(file).path) if "://" in file else file
        for pin_id in pq.read_table(path, columns=["pin_id"])["pin_id"].to_pylist():
            self.seen.setdefault(pin_id, now)
