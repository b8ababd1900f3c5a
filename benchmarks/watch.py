"""When a row becomes visible, as any reader sees it: from a Delta table's log and files."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from neardup.infra.background import Background

POLL_SECONDS = 0.02


class Watcher(Background):
    """Notes in ``seen`` when (``time.monotonic``) each key first could be read.

    ``table``: the folder of a Delta table; ``column`` of strings, or of UTF-8 bytes, holds the
    keys; those that begin with ``prefix`` are noted. What was there at the start is not looked at.
    """

    def __init__(self, table: Path, column: str = "pin_id", prefix: str = "") -> None:
        super().__init__(self._look, POLL_SECONDS)
        self.seen: dict[str, float] = {}
        self._table, self._column, self._prefix = table, column, prefix
        self._log = table / "_delta_log"
        versions = [int(path.stem) for path in self._log.glob("*.json") if path.stem.isdigit()]
        self._next = 1 + max(versions, default=-1)

    def _look(self) -> None:
        while (commit := self._log / f"{self._next:020}.json").exists():
            self._next += 1
            files = []
            for line in commit.read_text("utf-8").splitlines():
                added = json.loads(line).get("add")
                if added and added["dataChange"]:
                    files.append(self._table / unquote(added["path"]))
            self._note(files)

    def _note(self, files: list[Path]) -> None:
        """All of a commit at once: its files become visible together."""
        columns = [pq.read_table(file, columns=[self._column])[self._column] for file in files]
        keys = [key for column in columns for key in column.to_pylist()]
        now = time.monotonic()
        for key in keys:
            name = key.decode() if isinstance(key, bytes) else key
            if name.startswith(self._prefix):
                self.seen.setdefault(name, now)


def commits(
    seen: Mapping[str, float],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """When commits became visible, ascending, and how many keys each brought."""
    return np.unique(list(seen.values()), return_counts=True)
