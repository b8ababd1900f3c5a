"""The jars of Spark's connectors and of Kafka: fetched once, locked by SHA-256, offline after.

``jars.lock.json`` names every jar with its size and digest. A set is a folder of the user's cache
named after its part of the lock, so versions of neardup do not disturb one another.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from filelock import FileLock

from neardup.infra import ivy
from neardup.schemas.errors import EnvironmentProblem

Say = Callable[[str], object]
SETS = ("kafka", "spark")


@dataclass(frozen=True)
class Jar:
    """A file of the lock."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class JarSet:
    """Maven coordinates ``group:artifact:version`` and the jars they come to.

    beside_spark: leave out what the pyspark wheel ships; a second copy on Spark's class path would
    be a version conflict at best.
    """

    name: str
    coordinates: tuple[str, ...]
    beside_spark: bool
    jars: tuple[Jar, ...]

    @property
    def folder(self) -> Path:
        digest = hashlib.sha256(repr(self).encode()).hexdigest()
        return cache_folder() / f"{self.name}-{digest[:12]}"

    @property
    def paths(self) -> list[Path]:
        return [self.folder / jar.name for jar in self.jars]

    def damage(self) -> str | None:
        """What is missing or has another size than locked, as a sentence; None if all is well."""
        for jar, path in zip(self.jars, self.paths, strict=True):
            if not path.is_file():
                return f"{path} is missing"
            if path.stat().st_size != jar.bytes:
                return f"{path} has {path.stat().st_size} bytes instead of {jar.bytes}"
        return None


def cache_folder() -> Path:
    """NEARDUP_JARS, else ``neardup/jars`` in the user's cache folder."""
    chosen = os.environ.get("NEARDUP_JARS")
    if chosen:
        return Path(chosen).expanduser().resolve()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "neardup" / "jars"


def locked(name: str) -> JarSet:
    """A set of ``jars.lock.json``: "kafka" or "spark"."""
    entry = json.loads(files("neardup.infra").joinpath("jars.lock.json").read_text("utf-8"))[name]
    jars = tuple(Jar(jar, facts["bytes"], facts["sha256"]) for jar, facts in entry["jars"].items())
    return JarSet(name, tuple(entry["coordinates"]), entry["beside_spark"], jars)


def kafka_jars(say: Say | None = None) -> list[Path]:
    """The class path of a broker; fetched if need be. Raises EnvironmentProblem."""
    return ensure(locked("kafka"), say)


def spark_jars(say: Say | None = None) -> list[Path]:
    """What ``spark.jars`` needs for Delta tables and Kafka topics. Raises EnvironmentProblem."""
    return ensure(locked("spark"), say)


def ensure(jar_set: JarSet, say: Say | None = None) -> list[Path]:
    """The jars of ``jar_set``, fetched into the cache unless they are there; safe to run twice.

    say: where progress goes, a line at a time; stderr if None.
    Raises EnvironmentProblem if the repository cannot be reached or sends other bytes than locked.
    """
    if jar_set.damage() is None:
        return jar_set.paths
    root = cache_folder()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentProblem(
            f"The jars cannot be kept in {root} ({error}): set NEARDUP_JARS to a writable folder."
        ) from None
    with FileLock(root / f"{jar_set.name}.lock"):
        if jar_set.damage() is not None:  # nobody else fetched them while we waited
            _fetch(jar_set, root, say or _to_stderr)
    return jar_set.paths


def _fetch(jar_set: JarSet, root: Path, say: Say) -> None:
    began = time.monotonic()
    megabytes = sum(jar.bytes for jar in jar_set.jars) / 1e6
    say(f"Fetching the {jar_set.name} jars ({len(jar_set.jars)} files, {megabytes:.0f} MB, once)")
    with tempfile.TemporaryDirectory(dir=root, prefix=f".{jar_set.name}-") as scratch:
        fresh = Path(scratch) / "jars"
        ivy.retrieve(jar_set.coordinates, fresh, root, beside_spark=jar_set.beside_spark)
        _require_locked(jar_set, fresh)
        shutil.rmtree(jar_set.folder, ignore_errors=True)  # only there if damaged
        fresh.rename(jar_set.folder)
    say(f"  in {jar_set.folder}, {time.monotonic() - began:.0f} s")


def _require_locked(jar_set: JarSet, folder: Path) -> None:
    found = set(describe(folder))
    expected = set(jar_set.jars)
    if found != expected:
        names = ", ".join(sorted({jar.name for jar in found ^ expected}))
        raise EnvironmentProblem(
            f"The repository sent other {jar_set.name} jars than jars.lock.json names ({names}). "
            "If a mirror or proxy stands between, check it; nothing was kept."
        )


def describe(folder: Path) -> list[Jar]:
    """Size and digest of every jar in ``folder``, by name."""
    return [
        Jar(path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.glob("*.jar"))
    ]


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def relock(say: Say | None = None) -> str:
    """The text of a new ``jars.lock.json``, resolved afresh for the coordinates in the old one."""
    entries = {}
    for name in SETS:
        old = locked(name)
        (say or _to_stderr)(f"Resolving {', '.join(old.coordinates)}")
        with tempfile.TemporaryDirectory(prefix="neardup-lock-") as scratch:
            fresh = Path(scratch) / "jars"
            ivy.retrieve(old.coordinates, fresh, Path(scratch), beside_spark=old.beside_spark)
            jars = {jar.name: {"bytes": jar.bytes, "sha256": jar.sha256} for jar in describe(fresh)}
        entries[name] = {
            "coordinates": old.coordinates,
            "beside_spark": old.beside_spark,
            "jars": jars,
        }
    return json.dumps(entries, indent=1) + "\n"
