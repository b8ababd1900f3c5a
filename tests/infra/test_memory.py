"""Memory that was freed goes back to the system."""

import platform

import numpy as np
import psutil
import pytest

from neardup.infra.memory import give_back


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked to")
def test_what_was_freed_is_given_back() -> None:
    """Many small arrays, of which the last one keeps the heap from shrinking by itself."""
    arrays = [np.ones(1_000) for _ in range(12_000)]
    last = arrays[-1]
    before = psutil.Process().memory_info().rss
    del arrays
    give_back()
    assert psutil.Process().memory_info().rss < before - 60e6
    assert last.sum() == 1_000
