"""A worker is started with what hashing needs, and nothing that takes long to load beside it."""

import subprocess
import sys

HEAVY = ("deltalake", "duckdb", "tensorflow", "ai_edge_litert", "numba", "scipy", "cv2")


def test_a_worker_loads_what_hashing_needs_and_no_more() -> None:
    loaded = "import sys, neardup.streaming.workers; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", loaded], capture_output=True, check=True)
    modules = found.stdout.decode().split()
    assert "neardup.streaming.hashing" in modules
    assert [name for name in HEAVY if name in modules] == []
