"""Which Java is taken, and what is said where none will do."""

from pathlib import Path

import pytest

from neardup.infra.java import find_java, major_of, parse_version
from neardup.schemas.errors import EnvironmentProblem


@pytest.mark.parametrize(
    ("printed", "version", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime ...', "17.0.15", 17),
        ('openjdk version "21-ea" 2023-09-19', "21-ea", 21),
        ('java version "1.8.0_392"', "1.8.0_392", 8),
        ('Picked up JAVA_TOOL_OPTIONS: -Dx=1\nopenjdk version "25" 2025-09-16', "25", 25),
    ],
)
def test_versions_are_read(printed: str, version: str, major: int) -> None:
    assert parse_version(printed) == version
    assert major_of(version) == major


def test_no_version_is_no_version() -> None:
    assert parse_version("command not found") is None


def java_home(folder: Path, script: str) -> Path:
    launcher = folder / "bin" / "java"
    launcher.parent.mkdir()
    launcher.write_text(f"#!/bin/sh\n{script}\n")
    launcher.chmod(0o755)
    return folder


def test_java_home_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = java_home(tmp_path, """echo 'openjdk version "21.0.2"' >&2""")
    monkeypatch.setenv("JAVA_HOME", str(home))
    java = find_java()
    assert (java.executable, java.version, java.major) == (home / "bin" / "java", "21.0.2", 21)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("""echo 'java version "1.8.0_392"' >&2""", r"is Java 1\.8\.0_392; .* Java 17 or newer"),
        ("exit 3", "does not run"),
        ("echo hello", "says nothing of a version"),
    ],
)
def test_a_java_that_will_not_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(java_home(tmp_path, script)))
    with pytest.raises(EnvironmentProblem, match=f"(?s){said}.*apt-get install"):
        find_java()


def test_a_java_home_without_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match="unset JAVA_HOME"):
        find_java()


def test_no_java_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match=r"no Java on PATH.*dnf install.*brew install"):
        find_java()
