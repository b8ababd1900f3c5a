"""Jars come once, are checked against the lock, and are there without a network afterwards.

The real Ivy resolves from a repository in a folder, so nothing here needs a network.
"""

import hashlib
from pathlib import Path

import pytest

from neardup.infra import ivy, jars
from neardup.infra.jars import Jar, JarSet, ensure, locked
from neardup.infra.java import pyspark_jars
from neardup.schemas.errors import EnvironmentProblem

SETTINGS = """<ivysettings><settings defaultResolver="here"/><resolvers>
<filesystem name="here" m2compatible="true" checksums="">
<ivy pattern="{root}/[organisation]/[module]/[revision]/[module]-[revision].pom"/>
<artifact pattern="{root}/[organisation]/[module]/[revision]/[artifact]-[revision].[ext]"/>
</filesystem></resolvers></ivysettings>"""

POM = """<project><modelVersion>4.0.0</modelVersion>
<groupId>org.example</groupId><artifactId>{artifact}</artifactId><version>1.0</version>
<dependencies>{needs}</dependencies></project>"""

NEED = (
    "<dependency><groupId>org.example</groupId><artifactId>{}</artifactId>"
    "<version>1.0</version></dependency>"
)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """org.example: `store` needs `codec` and scala-library, which the pyspark wheel ships too."""
    root = tmp_path / "repository"
    for artifact, needs in {
        "store": ("codec", "scala-library"),
        "codec": (),
        "scala-library": (),
    }.items():
        folder = root / "org" / "example" / artifact / "1.0"
        folder.mkdir(parents=True)
        pom = POM.format(artifact=artifact, needs="".join(NEED.format(need) for need in needs))
        (folder / f"{artifact}-1.0.pom").write_text(pom)
        (folder / f"{artifact}-1.0.jar").write_bytes(f"the jar of {artifact}".encode())
    settings = tmp_path / "ivysettings.xml"
    settings.write_text(SETTINGS.format(root=root))
    monkeypatch.setenv("NEARDUP_IVY_SETTINGS", str(settings))
    monkeypatch.setenv("NEARDUP_JARS", str(tmp_path / "cache"))
    return root


def jar_set(*artifacts: str, beside_spark: bool = False, coordinate: str = "store") -> JarSet:
    contents = {artifact: f"the jar of {artifact}".encode() for artifact in artifacts}
    return JarSet(
        "example",
        (f"org.example:{coordinate}:1.0",),
        beside_spark,
        tuple(
            Jar(f"{artifact}-1.0.jar", len(content), hashlib.sha256(content).hexdigest())
            for artifact, content in sorted(contents.items())
        ),
    )


def test_jars_are_fetched_once(repository: Path) -> None:
    wanted = jar_set("store", "codec", "scala-library")
    said: list[str] = []
    paths = ensure(wanted, said.append)
    assert [path.read_text() for path in paths] == [
        "the jar of codec",
        "the jar of scala-library",
        "the jar of store",
    ]
    assert "3 files" in said[0]
    repository.rename(repository.with_name("gone"))
    assert ensure(wanted, said.append) == paths
    assert len(said) == 2
    leftovers = {path.name for path in jars.cache_folder().iterdir()}
    assert leftovers <= {wanted.folder.name, "example.lock"}


def test_what_spark_ships_is_left_out(repository: Path) -> None:
    paths = ensure(jar_set("store", "codec", beside_spark=True), lambda line: None)
    assert [path.name for path in paths] == ["codec-1.0.jar", "store-1.0.jar"]


def test_a_damaged_jar_is_fetched_again(repository: Path) -> None:
    wanted = jar_set("codec", coordinate="codec")
    (path,) = ensure(wanted, lambda line: None)
    path.write_bytes(b"half")
    assert "4 bytes instead of 16" in (wanted.damage() or "")
    ensure(wanted, lambda line: None)
    assert wanted.damage() is None


def test_other_bytes_than_locked_are_refused(repository: Path) -> None:
    jar = repository / "org" / "example" / "codec" / "1.0" / "codec-1.0.jar"
    jar.write_bytes(b"somebody's")
    wanted = jar_set("codec", coordinate="codec")
    with pytest.raises(EnvironmentProblem, match=r"other example jars .* \(codec-1\.0\.jar\)"):
        ensure(wanted, lambda line: None)
    assert not wanted.folder.exists()


def test_an_unreachable_repository_is_said(repository: Path) -> None:
    wanted = jar_set("codec", coordinate="nowhere")
    with pytest.raises(EnvironmentProblem, match=r"(?s)org\.example:nowhere.*Check the network"):
        ensure(wanted, lambda line: None)


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NEARDUP_JARS", str(tmp_path / "file"))
    with pytest.raises(EnvironmentProblem, match="set NEARDUP_JARS"):
        ensure(jar_set("codec"), lambda line: None)


@pytest.mark.parametrize("name", jars.SETS)
def test_the_lock_holds_what_it_was_made_from(name: str) -> None:
    names = {jar.name for jar in locked(name).jars}
    for coordinate in locked(name).coordinates:
        _, artifact, version = coordinate.split(":")
        assert f"{artifact}-{version}.jar" in names


def test_no_jar_of_the_spark_set_is_in_the_wheel() -> None:
    shipped = ivy.shipped_artifacts(pyspark_jars())
    assert {"scala-library", "jackson-databind", "spark-sql_2.13"} <= shipped
    ours = ivy.shipped_artifacts(locked("spark").folder)
    assert not ours & shipped
