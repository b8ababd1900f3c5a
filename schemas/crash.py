"""Named places at which a test ends the process with SIGKILL.

``NEARDUP_CRASH_AT=merge.written`` kills the process that gets there first, ``merge.written:3`` the
one that gets there for the third time. Without the variable a place costs one comparison. It
stands in this folder because the door to the tables, which everything else imports, has such
places itself: one before and one after each commit.
"""

import os
import signal

from neardup.schemas.errors import SettingsError

VARIABLE = "NEARDUP_CRASH_AT"

PLACES = {
    "batch.asked": "Spark has planned a batch and written its offsets; nothing is read yet",
    "batch.done": "a batch is committed to the tables; Spark has not noted it in its checkpoint",
    "flush.built": "a segment of the memtable is built, not stored",
    "flush.written": "it is stored, not searched yet",
    "merge.built": "segments are merged in memory",
    "merge.written": "the merged segment is stored, not decoded",
    "merge.decoded": "it is decoded on this host, not searched yet",
    "cache.written": "a decoded segment is in files aside",
    "cache.named": "the files have their name; nobody has opened them",
    "compaction.changed": "what differs from the generation before is written, no file is carried",
    "compaction.written": "the rows of a generation are in `clusters`, it is not announced",
    "publish.restored": "a prepared generation is read, not caught up",
    "publish.caught_up": "it has every batch; readers still see the one before",
    "maintenance.compacted": "small files of the first table are compacted; no checkpoint of it",
    "maintenance.checkpointed": "its log has a checkpoint; old log files are still there",
    "maintenance.cleaned": "old log files are gone, unused data files still there",
}
"""Each stands in the code once, as ``crash_point("...")``."""

COMMITS = (".before", ".after")
"""``pins.before``, ``pins.after`` and so on: around each commit of a table."""


def crash_point(name: str) -> None:
    """End the process here if the environment asks for it, as a power cut would."""
    if _WANTED is not None and name == _WANTED[0]:
        _reach()


def _wanted(value: str | None) -> tuple[str, int] | None:
    if not value:
        return None
    name, _, times = value.partition(":")
    known = name in PLACES or name.endswith(COMMITS)
    if not known or not (times or "1").isdigit():
        raise SettingsError(
            f"{VARIABLE}={value!r} names no place to crash at: there are {', '.join(PLACES)} and "
            "TABLE.before, TABLE.after, each with :N for the N-th time. Unset it otherwise."
        )
    return name, int(times or 1)


def _reach() -> None:
    global _reached
    _reached += 1
    assert _WANTED is not None
    if _reached >= _WANTED[1]:
        os.kill(os.getpid(), signal.SIGKILL)


_WANTED = _wanted(os.environ.get(VARIABLE))
_reached = 0
