"""A note beside the tables: which corpus a backfill began with.

What is done is in the log. The note only tells a corpus that changed, before it ended, from a new
one; without it the rows that are known already would become repeats.
"""

import hashlib
from pathlib import Path

import msgspec

from neardup.schemas.errors import StreamError


class Note(msgspec.Struct, frozen=True):
    """``version``: of a Delta table; a resumed backfill reads the same one."""

    path: str
    topic_id: str
    version: int | None = None


class Unfinished:
    """The note about the backfill of ``path`` into the lake at ``lake``."""

    def __init__(self, lake: Path, path: Path) -> None:
        name = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self._path = path
        self._file = lake / "_checkpoints" / f"backfill-{name}.json"

    def read(self) -> Note | None:
        """The note of a backfill that did not end, if there is one."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Note)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise StreamError(
                f"{self._file} is damaged ({error}): remove it if {self._path} is as it was "
                "when its backfill began."
            ) from None

    def check(self, topic_id: str) -> None:
        """Raise StreamError if another corpus was at this path when its backfill was cut off."""
        note = self.read()
        if note is not None and note.topic_id != topic_id:
            raise StreamError(
                f"{self._path} changed since its backfill was cut off, or its columns have other "
                f"names now ({note.topic_id} is {topic_id}): bring the former back to go on, or "
                "take it as it is with --restart; pins that are known already become repeats."
            )

    def write(self, topic_id: str, version: int | None) -> None:
        """Before the first batch."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        written = self._file.with_suffix(".new")
        written.write_bytes(msgspec.json.encode(Note(str(self._path), topic_id, version)))
        written.replace(self._file)

    def clear(self) -> None:
        """After the last batch."""
        self._file.unlink(missing_ok=True)
