"""Finds the Java that Spark and Kafka will run on."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from neardup.schemas.errors import EnvironmentProblem

MINIMUM_JAVA = 17
INSTALL_JAVA = (
    "install it with 'apt-get install openjdk-17-jre-headless' (Debian, Ubuntu), "
    "'dnf install java-21-openjdk-headless' (Fedora) or 'brew install openjdk@17' (macOS; "
    "then set JAVA_HOME to what 'brew --prefix openjdk@17' prints)"
)


@dataclass(frozen=True)
class Java:
    """A Java runtime: its launcher and its version (``major`` is 17 for "17.0.15")."""

    executable: Path
    version: str
    major: int


def find_java() -> Java:
    """The Java of JAVA_HOME, else the one on PATH: the order in which Spark looks too.

    Raises EnvironmentProblem if there is none or it is older than 17. A JAVA_HOME that is wrong is
    not passed over for PATH: Spark would not do so either.
    """
    executable = _launcher()
    try:
        answer = subprocess.run(
            [executable, "-version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentProblem(
            f"{executable} does not run ({error}); a Java {MINIMUM_JAVA} or newer is needed: "
            f"{INSTALL_JAVA}."
        ) from None
    version = parse_version(answer.stderr + answer.stdout)
    if version is None:
        raise EnvironmentProblem(
            f"{executable} -version says nothing of a version ({answer.stderr.strip()!r}); "
            f"a Java {MINIMUM_JAVA} or newer is needed: {INSTALL_JAVA}."
        )
    java = Java(executable, version, major_of(version))
    if java.major < MINIMUM_JAVA:
        raise EnvironmentProblem(
            f"{executable} is Java {version}; Spark and Kafka need Java {MINIMUM_JAVA} or newer: "
            f"{INSTALL_JAVA}."
        )
    return java


def _launcher() -> Path:
    home = os.environ.get("JAVA_HOME")
    if home:
        executable = Path(home) / "bin" / "java"
        if not executable.is_file():
            raise EnvironmentProblem(
                f"JAVA_HOME is {home!r}, but {executable} does not exist: unset JAVA_HOME or set "
                f"it to the folder of a Java {MINIMUM_JAVA} or newer."
            )
        return executable
    found = shutil.which("java")
    if found is None:
        raise EnvironmentProblem(
            f"There is no Java on PATH and JAVA_HOME is not set; Spark and Kafka need Java "
            f"{MINIMUM_JAVA} or newer: {INSTALL_JAVA}."
        )
    return Path(found)


def parse_version(text: str) -> str | None:
    """The version in what ``java -version`` prints: ``openjdk version "17.0.15" ...``."""
    found = re.search(r'version "([^"]+)"', text)
    return found[1] if found else None


def major_of(version: str) -> int:
    """17 for "17.0.15", 21 for "21-ea", 8 for "1.8.0_392" (the numbering before Java 9)."""
    numbers = [int(part) for part in re.findall(r"\d+", version)]
    return numbers[1] if numbers[0] == 1 and len(numbers) > 1 else numbers[0]


def pyspark_jars() -> Path:
    """The folder of jars inside the installed pyspark; does not import it."""
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise EnvironmentProblem("pyspark is not installed here: run 'make setup'.")
    return Path(spec.origin).parent / "jars"
