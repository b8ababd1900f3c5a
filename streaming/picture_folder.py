"""A folder of pictures as the source of a backfill: what `neardup produce` would send of it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from neardup.streaming.produce import PICTURES
from neardup.streaming.sources import RECORDS, RECORDS_AT_ONCE, Piece, fingerprint, record


@dataclass(frozen=True)
class PictureFolder:
    """The pictures below ``folder``, in the order of their paths; one part. Ids are the paths."""

    topic_id: str
    folder: Path
    paths: tuple[Path, ...]
    kind: str = "pictures"
    version: int | None = None
    batch_rows: int = 1_000

    @property
    def sizes(self) -> list[int]:
        return [len(self.paths)]

    def reader(self, piece: Piece) -> "PictureReader":
        return PictureReader(self.folder, self.paths[piece.first : piece.end], piece.first)


@dataclass(frozen=True)
class PictureReader:
    """Events that name the files; the pictures are read where they are hashed."""

    folder: Path
    paths: tuple[Path, ...]
    first: int

    def records(self) -> Iterator[pa.RecordBatch]:
        for begin in range(0, len(self.paths), RECORDS_AT_ONCE):
            some = self.paths[begin : begin + RECORDS_AT_ONCE]
            yield pa.RecordBatch.from_pylist(
                [self._record(path, self.first + begin + i) for i, path in enumerate(some)],
                schema=RECORDS,
            )

    def _record(self, path: Path, offset: int) -> dict[str, object]:
        key = os.fsencode(path.relative_to(self.folder).as_posix())
        written = datetime.fromtimestamp(_modified(path), UTC)
        fields = {
            "pin_id": key.decode("utf-8", "replace"),  # if it is not UTF-8, the key is refused
            "created_at": written,
            "image_uri": path.as_uri(),
        }
        return record(fields, key, 0, offset, written)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # gone since it was listed: one bad event
        return 0.0


def picture_source(folder: Path, paths: list[Path]) -> PictureFolder:
    """``paths`` below ``folder``. Its fingerprint holds names and sizes, not where it lies."""
    identity: list[str | bytes | int] = []
    for path in paths:
        identity += [os.fsencode(path.relative_to(folder)), path.stat().st_size]
    return PictureFolder(fingerprint(identity), folder, tuple(paths))


def pictures(folder: Path) -> list[Path]:
    """The pictures below a folder, in the order of their paths."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in PICTURES and path.is_file()
    ]
