"""The classifiers of a lake: kept whole, asked for, and written down when they are used."""

import shutil
from pathlib import Path

import pytest

from neardup.models.classifier import BUNDLED, Classifier
from neardup.models.hasher import Hasher
from neardup.models.registry import SHADOW, STREAM, Registry, classifier_of
from neardup.schemas.errors import ArtifactError
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings, load_settings
from tests.classifiers import saved, variant


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(Lake.create(tmp_path / "lake"))


def test_a_classifier_is_kept_under_its_version(registry: Registry, tmp_path: Path) -> None:
    bundled, other = registry.add(None), registry.add(saved(tmp_path / "o.npz", threshold=1.0))
    assert registry.versions() == sorted([bundled.version, other.version])
    assert registry.load(other.version).threshold == bundled.threshold + 1
    assert registry.add(None).version == bundled.version
    assert len(registry.versions()) == 2
    assert not list(registry.folder.glob("*.part"))


def test_what_is_damaged_does_not_come_in(registry: Registry, tmp_path: Path) -> None:
    path = saved(tmp_path / "o.npz", threshold=1.0)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="SHA-256"):
        registry.add(path)
    assert registry.versions() == []


def test_what_is_asked_for_must_be_there_whole_and_of_the_hasher(registry: Registry) -> None:
    version, hasher = registry.add(None).version, Hasher.load().version
    with pytest.raises(ArtifactError, match=f"no classifier other.*{version}"):
        registry.want(STREAM, "other", hasher)
    with pytest.raises(ArtifactError, match="There is no classifier"):
        registry.want(STREAM, "../../other", hasher)
    with pytest.raises(ArtifactError, match="not another-hasher"):
        registry.want(STREAM, version, "another-hasher")
    arrays = registry.folder / f"{version}.npz"
    arrays.write_bytes(arrays.read_bytes() + b" ")
    with pytest.raises(ArtifactError, match="SHA-256"):
        registry.want(STREAM, version, hasher)
    assert registry.wanted() == {}


def test_a_file_under_another_version_is_refused(registry: Registry) -> None:
    registry.add(None)
    for suffix in (".npz", ".json"):
        shutil.copy(BUNDLED.with_suffix(suffix), registry.folder / f"other{suffix}")
    with pytest.raises(ArtifactError, match="was renamed"):
        registry.load("other")


def test_roles_are_asked_for_one_by_one(registry: Registry) -> None:
    version, hasher = registry.add(None).version, Hasher.load().version
    registry.want(STREAM, version, hasher)
    registry.want(SHADOW, version, hasher)
    registry.want(SHADOW, None, hasher)
    assert registry.wanted() == {STREAM: version, SHADOW: None}


@pytest.mark.parametrize("text", ["{", "[]", '{"stream": 3}', '{"stream": null}', '{"x": "y"}'])
def test_a_spoilt_wish_is_refused(registry: Registry, text: str) -> None:
    registry.folder.mkdir()
    registry.wanted_file.write_text(text)
    with pytest.raises(ArtifactError, match="neardup models use"):
        registry.wanted()


def test_the_newest_use_of_a_role_counts(registry: Registry) -> None:
    assert registry.in_use(STREAM) is None
    for role, version, batch_seq in [(STREAM, "a", 0), (SHADOW, "b", 3), (STREAM, "c", 7)]:
        registry.took(role, version, batch_seq)
    registry.took(SHADOW, None, 9)
    assert (registry.in_use(STREAM), registry.in_use(SHADOW)) == ("c", None)
    uses = [(row["role"], row["version"], row["batch_seq"]) for row in registry.uses()]
    assert uses == [(STREAM, "a", 0), (SHADOW, "b", 3), (STREAM, "c", 7), (SHADOW, None, 9)]


def test_the_lake_says_which_classifier_decides(tmp_path: Path) -> None:
    settings: Settings = load_settings(None, lake={"path": tmp_path / "lake"})
    lake = Lake.create(settings.lake.path)
    assert classifier_of(lake, settings).version == Classifier.load().version
    registry = Registry(lake)
    registry.took(STREAM, registry.add(saved(tmp_path / "o.npz", threshold=1.0)).version, 0)
    assert classifier_of(lake, settings).version == variant(threshold=1.0).version
