"""Threads share few of malloc's heaps, so that what one freed another can have."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

HEAPS = """
import ctypes, sys, threading
from neardup.infra.memory import keep_few_arenas

if sys.argv[2] == "few":
    keep_few_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
together = threading.Barrier(8)

def allocate():
    together.wait()
    for _ in range(1000):
        libc.malloc(1000)
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


def heaps(folder: Path, how: str) -> int:
    """How many heaps malloc has after eight threads allocated at the same time."""
    said = folder / how
    subprocess.run([sys.executable, "-c", HEAPS, str(said), how], check=True)
    return said.read_text("utf-8").count("<heap nr=")


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_info"), reason="needs glibc's malloc_info"
)
def test_threads_share_few_heaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    assert heaps(tmp_path, "few") <= 2 < heaps(tmp_path, "many")
