"""Killed at moments that nobody chose."""

import os
import random
import time
from contextlib import suppress

import psutil
import pytest

from tests.faults.report import compare
from tests.faults.system import System

SEED = int(os.environ.get("NEARDUP_STORM_SEED", "0"))
KILLS = 6


@pytest.mark.faults
def test_killed_at_random_moments(calm: System, rough: System) -> None:
    """Half of them while it starts, the others while it works."""
    print(f"NEARDUP_STORM_SEED={SEED}")
    rng = random.Random(SEED)  # noqa: S311
    for number in range(KILLS):
        process = rough.start("stream")
        if number % 2:
            rough.wait_until_ready()
        time.sleep(rng.uniform(0, 3 if number % 2 else 10))
        process.kill()
        process.wait()
    assert rough.drain() == 0, rough.words()
    compare("stream", f"{KILLS} random moments, seed {SEED}", calm, rough)


@pytest.mark.faults
@pytest.mark.parametrize("name", ["java", "pyspark.daemon"])
def test_a_part_of_it_is_killed(calm: System, rough: System, name: str) -> None:
    """The JVM, or all Python workers: the rest goes on, or ends by itself."""
    stream = rough.start("stream")
    rough.wait_for("some batches", lambda: rough.decided() > 30)
    for part in psutil.Process(stream.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # the one before took it along
            if any(name in word for word in part.cmdline()):
                part.kill()
    rough.wait_for("an end", lambda: stream.poll() is not None or rough.decided() == calm.decided())
    if stream.poll() is None:
        assert rough.stop(stream) == 0, rough.words()
    assert rough.drain() == 0, rough.words()
    compare("stream", f"its processes named {name}", calm, rough)
