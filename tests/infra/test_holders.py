"""Who holds a lease, and what the processes of a stream hold in memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from neardup.infra.holders import LOCKS, command_of, holder
from neardup.infra.memory import resident


@pytest.mark.skipif(not LOCKS.exists(), reason=f"this system has no {LOCKS}")
def test_the_holder_is_found_and_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / ".stream.lock"
    assert holder(path) is None
    with FileLock(path):
        assert holder(path) == os.getpid()
        assert "python" in command_of(os.getpid())
    assert holder(path) is None


def test_memory_is_that_of_the_children_too() -> None:
    before = resident()
    assert before["driver"] > 1_000_000
    hold = "import sys; held = bytearray(50_000_000); print(len(held), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert resident()["workers"] >= before["workers"] + 50_000_000
        child.communicate(b"\n")
