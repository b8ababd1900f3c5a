"""Who holds an advisory lock: for people, from Linux's list of locks."""

from pathlib import Path

import psutil

LOCKS = Path("/proc/locks")


def holder(lock: Path) -> int | None:
    """The process that holds a lock file; None if nobody does, or this system does not tell."""
    try:
        inode = str(lock.stat().st_ino)
        lines = LOCKS.read_text("utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        # 1: FLOCK  ADVISORY  WRITE 8530 fe:00:9986067 0 EOF; a line with "->" waits for it
        if len(fields) == 8 and fields[1] == "FLOCK" and fields[5].split(":")[2] == inode:
            return int(fields[4])
    return None


def command_of(process: int) -> str:
    """What a process runs; "" if it cannot be seen."""
    try:
        return " ".join(psutil.Process(process).cmdline())
    except psutil.Error:
        return ""
