"""Looks at the machine before the stream does: each check says what it found and how to mend it."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from neardup.infra import topics
from neardup.infra.jars import SETS, JarSet, locked
from neardup.infra.java import find_java
from neardup.infra.kafka import is_free
from neardup.infra.kafka_security import servers_of
from neardup.schemas.errors import EnvironmentProblem, NeardupError

GIB = 1024**3
MINIMUM_PYTHON = (3, 11)
MINIMUM_FREE_DISK = 2 * GIB
# The path of one pin at rest: driver's JVM 1 GiB, one TensorFlow worker, broker, Python driver.
MINIMUM_MEMORY = 4 * GIB


LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Check:
    """One finding. A check that is not `required` warns, but does not fail the doctor."""

    name: str
    ok: bool
    found: str
    mend: str = ""
    required: bool = True


def examine(
    lake: Path, kafka: topics.Kafka, topic: str, more: Iterable[Callable[[], Check]] = ()
) -> list[Check]:
    """Every check, in the order in which one would mend things.

    more: checks of parts that this layer does not know, such as the bundled models.
    """
    checks = [python_version(), java_version(), versions_fit(installed_versions())]
    checks += [jars_present(locked(name)) for name in SETS]
    checks += [memory(installed_memory()), disk(lake), temporary()]
    checks += [check() for check in more]
    return [*checks, *ports(kafka), *broker(kafka, topic)]


def healthy(checks: Iterable[Check]) -> bool:
    return all(check.ok or not check.required for check in checks)


def python_version(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    found = ".".join(map(str, version))
    ok = version[:2] >= MINIMUM_PYTHON
    return Check("Python", ok, found, "make .venv anew with Python 3.11 or newer")


def java_version() -> Check:
    try:
        java = find_java()
    except EnvironmentProblem as problem:
        return Check("Java", False, "none that will do", str(problem))
    return Check("Java", True, f"{java.version} ({java.executable})")


def installed_versions() -> dict[str, str]:
    """Versions of what has to fit together; "" for what is not installed."""
    packages = ("pyspark", "delta-spark", "kafka-python", "pandas")
    return {package: _version(package) for package in packages}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def versions_fit(versions: dict[str, str], coordinates: Iterable[str] | None = None) -> Check:
    """The Python packages agree with the locked jars.

    coordinates: of Spark's jars, ``group:artifact:version``; those of the lock if None.
    """
    misfits = misfitting(versions, coordinates or locked("spark").coordinates)
    found = ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())
    return Check("versions", not misfits, "; ".join(misfits) or found, "run 'make setup' again")


def misfitting(versions: dict[str, str], coordinates: Iterable[str]) -> list[str]:
    """A sentence for each pair of versions that cannot work together."""
    jars = {artifact: version for _, artifact, version in (c.split(":") for c in coordinates)}
    spark, delta = versions["pyspark"], versions["delta-spark"]
    needed = {
        f"delta-spark_{'.'.join(spark.split('.')[:2])}_2.13": delta,
        "spark-sql-kafka-0-10_2.13": spark,
    }
    misfits = [
        f"pyspark {spark} and delta-spark {delta} need the jar {artifact} {version}, "
        f"locked are {', '.join(f'{a} {v}' for a, v in jars.items())}"
        for artifact, version in needed.items()
        if jars.get(artifact) != version
    ]
    if versions["kafka-python"].split(".")[0] != "3":
        misfits.append(f"kafka-python is {versions['kafka-python'] or 'missing'}, not 3.x")
    if versions["pandas"].split(".")[0] != "2":
        misfits.append(f"pandas is {versions['pandas'] or 'missing'}; PySpark 4.2 works with 2.x")
    return misfits


def jars_present(jar_set: JarSet) -> Check:
    damage = jar_set.damage()
    found = damage or f"{len(jar_set.jars)} in {jar_set.folder}"
    return Check(f"{jar_set.name} jars", damage is None, found, "run 'neardup jars'")


def installed_memory() -> int:
    """Bytes of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def memory(total: int) -> Check:
    return Check(
        "memory",
        total >= MINIMUM_MEMORY,
        f"{total / GIB:.1f} GiB",
        f"{MINIMUM_MEMORY / GIB:.0f} GiB are needed for Spark, TensorFlow and a broker together",
        required=False,
    )


def disk(lake: Path) -> Check:
    """The lake's folder, or where it will be made, can be written and has room."""
    place = next(folder for folder in (lake, *lake.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Check("lake", False, f"{place}: {error.strerror}", "choose another lake.path")
    free = shutil.disk_usage(place).free
    return Check(
        "lake",
        free >= MINIMUM_FREE_DISK,
        f"{free / GIB:.1f} GiB free at {place}",
        f"free {MINIMUM_FREE_DISK / GIB:.0f} GiB there or choose another lake.path",
    )


def temporary() -> Check:
    """Room for what a running stream maps into memory: signatures, ids, decoded segments."""
    place = Path(tempfile.gettempdir())
    free = shutil.disk_usage(place).free
    return Check(
        "TMPDIR",
        free >= MINIMUM_FREE_DISK,
        f"{free / GIB:.1f} GiB free at {place}",
        "free some space there or set TMPDIR to a folder on a larger disk; a pin takes up to 2 kB",
        required=False,
    )


def ports(kafka: topics.Kafka) -> list[Check]:
    """Ports of this machine that the settings name: free for a broker, or held by one."""
    found = []
    for server in servers_of(kafka).split(","):
        host, _, port = server.strip().rpartition(":")
        if host in LOOPBACK:
            found.append(_port(_only(kafka, server.strip()), int(port)))
    return found


def _only(kafka: topics.Kafka, server: str) -> topics.Kafka:
    if isinstance(kafka, str):
        return server
    return kafka.model_copy(update={"bootstrap_servers": server})


def _port(kafka: topics.Kafka, port: int) -> Check:
    if is_free(port):
        return Check("port", True, f"{port} is free: 'neardup broker --port {port}' can have it")
    if topics.answers(kafka):
        return Check("port", True, f"{port} is held by a Kafka broker")
    mend = "stop what listens there, or choose another port in kafka.bootstrap_servers"
    return Check("port", False, f"{port} is held by something that is not Kafka", mend)


def broker(kafka: topics.Kafka, topic: str) -> list[Check]:
    """Warnings alone: a broker may be started after the doctor was here."""
    try:
        exists = topics.topic_exists(kafka, topic)
    except NeardupError as problem:
        return [
            Check("broker", False, f"none at {servers_of(kafka)}", str(problem), required=False)
        ]
    mend = f"create it, or run 'neardup broker --topic {topic}'"
    found = f"{topic} {'is there' if exists else 'is not there'}"
    return [
        Check("broker", True, f"answers at {servers_of(kafka)}", required=False),
        Check("topic", exists, found, mend, required=False),
    ]
