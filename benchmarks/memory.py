"""How much memory this process and all its children take together."""

import re
from pathlib import Path

import psutil

from neardup.infra.background import Background

SAMPLE_SECONDS = 3.0


class PeakMemory(Background):
    """Samples while its ``with`` block runs; ``peak`` in bytes.

    Proportional set size where the system tells it (Linux), so that pages shared by forked
    workers count once; resident set size elsewhere.
    """

    def __init__(self) -> None:
        super().__init__(self._sample, SAMPLE_SECONDS)
        self.peak = 0

    def _sample(self) -> None:
        own = psutil.Process()
        total = sum(memory_of(process) for process in [own, *own.children(recursive=True)])
        self.peak = max(self.peak, total)


def memory_of(process: psutil.Process) -> int:
    """Bytes of one process; 0 if it has ended."""
    try:
        full = process.memory_full_info()
    except psutil.Error:  # it ended between the listing and the question
        return 0
    return int(getattr(full, "pss", full.rss))


def anonymous_of(process: psutil.Process) -> int:
    """Bytes of one process outside the page cache, what it shares counted by its share; 0 if it has
    ended. Linux only."""
    try:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text("ascii")
    except OSError:  # it ended between the listing and the question
        return 0
    found = re.search(r"^Pss_Anon:\s+(\d+) kB$", text, re.MULTILINE)
    assert found
    return 1024 * int(found[1])
