"""What the processes of a stream hold in memory."""

import contextlib
import ctypes

import psutil


def resident() -> dict[str, int]:
    """Bytes: of this process (driver), of the JVM it started, of Python workers below that."""
    found = {"driver": psutil.Process().memory_info().rss, "jvm": 0, "workers": 0}
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended just now
            part = "jvm" if child.name().startswith("java") else "workers"
            found[part] += child.memory_info().rss
    return found


def give_back() -> None:
    """Return freed memory to the system, where the C library can (glibc; tens of milliseconds).

    It keeps what a burst or the compaction of tables took: 190 MB of a driver's 430.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
