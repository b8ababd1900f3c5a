"""Killed at moments that nobody chose."""

import os
import random
import time

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
