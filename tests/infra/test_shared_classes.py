"""Spark's shared classes: named after what they are of, made as a whole or not at all."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from neardup.infra import shared_classes
from neardup.infra.java import find_java, pyspark_jars


def test_without_the_file_nothing_is_asked_of_the_jvm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    java = find_java()
    assert shared_classes.flags(java) == ""
    path = shared_classes.archive(java)
    path.parent.mkdir(parents=True)
    path.touch()
    assert shared_classes.flags(java) == f'"-XX:SharedArchiveFile={path}"'
    assert shared_classes.flags(replace(java, version="99")) == "", "of another Java"


@pytest.mark.parametrize("fault", ["no session", "no folder"])
def test_where_it_cannot_be_made_that_is_said_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    prefix = tmp_path / "prefix"
    if fault == "no folder":
        prefix.write_text("a file")
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    said: list[str] = []
    shared_classes.ensure(said.append)
    (line,) = said
    assert line.startswith("spark: starts as it does without shared classes")
    assert not list(tmp_path.rglob("*.jsa"))


def test_the_jvm_takes_the_file() -> None:
    java = find_java()
    path = shared_classes.archive(java)
    if not path.is_file():
        pytest.skip(f"needs {path}: `neardup jars` makes it")
    jars = pyspark_jars()
    (first,) = jars.glob("slf4j-api-*.jar")
    class_path = f"{jars.parent}/conf:{first}:{jars}/*"  # as Spark's launcher has it
    words = ["-Xshare:on", f"-XX:SharedArchiveFile={path}", "-cp", class_path]
    taken = subprocess.run(
        [java.executable, *words, "-version"], capture_output=True, text=True, check=False
    )
    assert taken.returncode == 0, taken.stderr + taken.stdout
    other = [word.replace("/*", "") for word in words]
    refused = subprocess.run([java.executable, *other, "-version"], check=False)
    assert refused.returncode != 0, "it is of another class path"
