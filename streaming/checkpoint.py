"""Spark's checkpoint: what it says about the next batch, and whether that fits the log.

The tables are the truth. The checkpoint only says where batches that were planned begin and end, so
that a replay is cut as it was. So a checkpoint that is damaged, or that is of another log, is set
aside, not believed: the stream then begins where the tables end, and nothing is lost or done twice.
It begins there too if the tables do not stand in the middle of a planned batch: one that left
nothing is planned anew with what came meanwhile, and one that is whole is not read again.
"""

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from neardup.schemas.errors import StreamError

log = logging.getLogger(__name__)

Offsets = Mapping[int, int]
"""Partition -> offset."""


class Damaged(Exception):
    """Files of the checkpoint are missing or cannot be read; the message says which."""


@dataclass(frozen=True)
class Planned:
    """The newest batch that Spark planned: per partition its first offset, and one past its last.

    ``done``: whether Spark noted that it ended, so that the next one begins at ``end``.
    """

    number: int
    start: Offsets
    end: Offsets
    done: bool

    def is_cut(self, due: Offsets) -> bool:
        """Whether the log has a part of this batch, and the rest is due."""
        stands = {partition: due.get(partition, 0) for partition in self.end}
        start = {partition: self.start.get(partition, 0) for partition in self.end}
        return stands not in (start, self.end)

    def misfit(self, due: Offsets) -> str | None:
        """Why the log, of which ``due`` says what comes next, cannot go on from here; None: it can.

        A batch that begins after what is due would leave events out. One that ends before it is
        older than the log, and Kafka may not have its events any more.
        """
        begins = self.end if self.done else self.start
        for partition in sorted(self.end.keys() | due.keys()):
            needed, begin = due.get(partition, 0), begins.get(partition, 0)
            if begin > needed:
                return f"it goes on at offset {begin} of partition {partition}, due is {needed}"
            if partition in due and self.end.get(partition, 0) < needed:
                return (
                    f"it ends at offset {self.end.get(partition, 0)} of partition {partition}, the "
                    f"log has what was before {needed}"
                )
        return None


def planned(folder: Path, topic: str) -> Planned | None:
    """What the checkpoint says; None if there is none. Raises Damaged."""
    numbers = _numbers(folder / "offsets")
    if not numbers:
        return None
    last = numbers[-1]
    missing = sorted(set(range(min(numbers[0], max(last - 1, 0)), last)) - set(numbers))
    if missing:
        raise Damaged(f"offsets/{missing[0]} is missing before offsets/{last}")
    noted = _numbers(folder / "commits")
    if noted and not (folder / "commits" / str(noted[-1])).read_bytes().startswith(b"v1"):
        raise Damaged(f"commits/{noted[-1]} cannot be read")
    before = folder / "offsets" / str(last - 1) if last else folder / "sources" / "0" / "0"
    return Planned(
        last,
        _offsets(before, topic),
        _offsets(folder / "offsets" / str(last), topic),
        last in noted,
    )


def fit_to_log(folder: Path, topic: str, due: Offsets) -> None:
    """Keep a checkpoint if the log stands in the middle of the batch that it planned.

    One that says nothing new is removed. One that is damaged, or of another log, is kept under
    another name, with a warning.
    """
    _remove_orphans(folder)
    try:
        found = planned(folder, topic)
        reason = found and found.misfit(due)
    except Damaged as damage:
        found, reason = None, str(damage)
    if reason:
        log.warning(
            "the checkpoint %s is not used (%s): it is kept as %s, and the stream goes on where "
            "the tables end. Nothing is lost.",
            folder,
            reason,
            _set_aside(folder).name,
        )
    elif found is None or not found.is_cut(due):
        _clear(folder)


def _set_aside(folder: Path) -> Path:
    """The checkpoint under another name; what had it is removed."""
    aside = folder.with_name(f"{folder.name}.aside")
    shutil.rmtree(aside, ignore_errors=True)
    return folder.rename(aside)


def _clear(folder: Path) -> None:
    """Remove what Spark wrote, a plan that it was killed over too. Where this ends half way, the
    next start clears the rest, or sets it aside."""
    for name in ("commits", "sources", "metadata", ".metadata.crc", "offsets"):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Hold the checkpoint while the block runs; StreamError if another process does."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StreamError(
            f"Another process uses the checkpoint {folder}: stop it first, or set "
            "stream.checkpoint to a folder of this stream's own."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _remove_orphans(folder: Path) -> None:
    """Checksums of files that are gone: Spark would take them for another stream's, for ever."""
    for checksum in [*folder.glob("offsets/.*.crc"), *folder.glob("commits/.*.crc")]:
        if not checksum.with_name(checksum.name[1:].removesuffix(".crc")).exists():
            checksum.unlink()


def _numbers(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def _offsets(path: Path, topic: str) -> dict[int, int]:
    """What stands in the last line of one of Spark's files: ``{"topic": {"0": 1}}``."""
    try:
        last = path.read_text("utf-8").splitlines()[-1]
        offsets = json.loads(last.strip("\0"))[topic]
        return {int(partition): int(offset) for partition, offset in offsets.items()}
    except FileNotFoundError:
        raise Damaged(f"{path} is missing") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise Damaged(f"{path} cannot be read: {type(error).__name__}: {error}") from None
