"""A process of a benchmark: started, waited for, and what it and its children take."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from tqdm import tqdm

from neardup.benchmarks.memory import anonymous_of, memory_of
from neardup.schemas.errors import StreamError

NEARDUP = ["-m", "neardup.cli.main"]
READY_SECONDS = 900.0


@contextmanager
def python_process(
    words: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[psutil.Process]:
    """`python WORDS` that has said it is ready in its ``log``; SIGTERM at the end of the block."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *words],
            stderr=file,
            stdout=file,
            env={**os.environ, **(environment or {})},
            start_new_session=True,  # Ctrl-C reaches this process, which then ends that one
        )
    try:
        _wait_until_ready(process, log)
        yield psutil.Process(process.pid)
        process.send_signal(signal.SIGTERM)
        if process.wait(timeout=60) != 0:
            raise StreamError(f"It ended with code {process.returncode}:\n{_end_of(log)}")
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_ready(process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    with tqdm(desc="starting the stream", bar_format="{desc}: {elapsed}", disable=None) as bar:
        while " ready: " not in log.read_text("utf-8", errors="replace"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise StreamError(f"It did not start:\n{_end_of(log)}")
            time.sleep(0.1)
            bar.update(0)


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-15:])


def _family(process: psutil.Process) -> list[tuple[str, psutil.Process]]:
    """Each with what it is: driver, JVM or workers."""
    found = [("driver", process)]
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ended in between
            found.append(("JVM" if "java" in child.name() else "workers", child))
    return found


def cpu_seconds(process: psutil.Process) -> Counter[str]:
    """Seconds of CPU that driver, JVM and workers have taken so far."""
    taken: Counter[str] = Counter()
    for kind, member in _family(process):
        with suppress(psutil.NoSuchProcess):  # it ended in between
            times = member.cpu_times()
            taken[kind] += times.user + times.system
    return taken


def memory(process: psutil.Process) -> Counter[str]:
    """Bytes by kind: the proportional set size where the system tells it."""
    return _by_kind(process, memory_of)


def anonymous(process: psutil.Process) -> Counter[str]:
    """Bytes outside the page cache by kind of process (Linux)."""
    return _by_kind(process, anonymous_of)


def _by_kind(process: psutil.Process, measure: Callable[[psutil.Process], int]) -> Counter[str]:
    taken: Counter[str] = Counter()
    for kind, member in _family(process):
        taken[kind] += measure(member)
    return taken
