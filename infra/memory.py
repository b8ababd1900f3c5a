"""What the processes of a stream hold in memory."""

import contextlib
import ctypes
import os

import psutil

ARENAS = 2
_M_ARENA_MAX = -8  # of glibc's malloc.h


def resident() -> dict[str, int]:
    """Bytes: of this process (driver), of the JVM it started, of Python workers below that."""
    found = {"driver": psutil.Process().memory_info().rss, "jvm": 0, "workers": 0}
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended just now
            part = "jvm" if child.name().startswith("java") else "workers"
            found[part] += child.memory_info().rss
    return found


def keep_few_arenas() -> None:
    """Have malloc keep few heaps, in this process and in those that it starts from now on.

    glibc gives every thread a heap, up to eight a core, and each keeps what was freed in it: a
    process whose threads come and go grows for hours. To be called before there are threads.
    Elsewhere than with glibc nothing happens.
    """
    os.environ.setdefault("MALLOC_ARENA_MAX", str(ARENAS))
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, int(os.environ["MALLOC_ARENA_MAX"]))
