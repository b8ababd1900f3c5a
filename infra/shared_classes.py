"""Spark's classes in a file, as the JVM has them in memory: a session starts with half the CPU.

This is the JVM's class data sharing. `neardup jars` makes the file once for an environment; without
it all works as well, and each session loads and verifies its 12,000 classes anew: 7 s of CPU
instead of 3.5. A JVM that finds that the file is not its own says so, and goes on without it.
"""

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from neardup.infra.java import Java, find_java, pyspark_jars


def flags(java: Java) -> str:
    """What a JVM of Spark is to be told, as in ``spark.driver.extraJavaOptions``."""
    path = archive(java)
    return f'"-XX:SharedArchiveFile={path}"' if path.is_file() else ""


def archive(java: Java) -> Path:
    """Where the file is, in the environment that Python runs in: classes go by their path."""
    jars = pyspark_jars()
    facts = java.version, [(jar.name, jar.stat().st_mtime_ns) for jar in sorted(jars.iterdir())]
    digest = hashlib.sha256(repr((str(jars), facts)).encode()).hexdigest()
    return Path(sys.prefix) / "share" / "neardup" / f"spark-classes-{digest[:12]}.jsa"


def ensure(say: Callable[[str], object]) -> None:
    """Make the file unless it is there: half a minute. Where it cannot be made, ``say`` so."""
    path = archive(find_java())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.is_file():
                _make(path)
    except (OSError, subprocess.SubprocessError) as error:
        say(f"spark: starts as it does without shared classes ({error})")
        return
    say(f"spark: {path.stat().st_size / 1e6:.0f} MB of shared classes in {path}")


def _make(path: Path) -> None:
    """By a session of a process of its own, whose JVM writes the file when it ends."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".classes-") as scratch:
        fresh = Path(scratch) / "fresh.jsa"
        words = [sys.executable, "-m", "neardup.infra.rehearse_spark", str(fresh)]
        subprocess.run(words, check=True, capture_output=True, timeout=600, cwd=scratch)
        for old in path.parent.glob("spark-classes-*.jsa"):
            old.unlink()  # of another Java or pyspark
        fresh.rename(path)
