"""`neardup explain` on a lake of real pictures, with all that may be missing."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from neardup.answers.explain import explain
from neardup.cli.explain import command
from neardup.models.classifier import Classifier, log_odds_numpy
from neardup.schemas.errors import ArtifactError, LakeError, SettingsError
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings, load_settings
from tests.answers.album import album
from tests.lakes import pin


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return album(tmp_path_factory.mktemp("album"))


@pytest.fixture
def config(lake: Lake, tmp_path: Path) -> Path:
    path = tmp_path / "neardup.toml"
    path.write_text(
        f'[lake]\npath = "{lake.path}"\n[events]\nallowed_roots = ["{pictures(lake)}"]\n', "utf-8"
    )
    return path


def pictures(lake: Lake) -> Path:
    return lake.path.parent / "pictures"


def settings_of(config: Path) -> Settings:
    return load_settings(config)


def run(config: Path, *words: str) -> Result:
    return CliRunner().invoke(command, [*words, "--config", str(config)])


def test_a_link_is_explained_from_terms_to_keypoints(lake: Lake, config: Path) -> None:
    found = explain(settings_of(config), ("copy", "photo"))
    a, b = found.left.signature, found.right.signature
    assert found.hamming == int(np.bitwise_count(a ^ b).sum()) > 0
    scored = log_odds_numpy(Classifier.load(), a[None], b[None])[0]
    assert found.log_odds == scored
    assert found.link is not None
    assert (found.link.newer, found.link.older, found.link.hamming) == ("copy", "photo", 99)
    assert found.sight is not None and found.sight.verdict == "same"
    assert found.sight.comparison.mirror, "the copy is mirrored"
    assert found.pictures[0].source.startswith("thumbnail of 160")
    assert found.pictures[1].source.endswith("photo.png")


def test_the_map_is_in_pixels_of_the_pictures(lake: Lake, config: Path) -> None:
    """The middle of what the mirrored copy shows lies where the crop took it from."""
    files = pictures(lake) / "copy.png", None
    found = explain(settings_of(config), ("copy", "photo"), files)
    assert found.sight is not None and found.sight.transform is not None
    copy, photo = (picture.image for picture in found.pictures)
    assert copy is not None and photo is not None
    corners = np.array([[0, 0, 1], [copy.width, 0, 1], [0, copy.height, 1]], float)
    there = corners @ found.sight.transform.T
    assert there[0, 0] - there[1, 0] == pytest.approx(copy.width, rel=0.03)  # mirrored: to the left
    assert there[2, 1] - there[0, 1] == pytest.approx(copy.height, rel=0.03)
    assert (there[:, :2] > -3).all()
    assert (there[:, :2] < np.array([photo.width, photo.height]) + 3).all()


def test_words_and_picture(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "points.png"
    shown = run(config, "copy", "photo", "--out", str(out))
    assert shown.exit_code == 0, shown.output
    for part in ("both in cluster 0 (head photo)", "match in", "bits", "found when copy came"):
        assert part in shown.output
    assert "same (" in shown.output and "mirrored" in shown.output
    with Image.open(out) as drawn:
        assert drawn.format == "PNG" and drawn.width > 900
        colours = np.asarray(drawn.convert("HSV"))[..., 1]
    assert (colours > 200).sum() > 500, "no line is drawn in colour"


def test_another_picture_is_another_picture(config: Path) -> None:
    shown = run(config, "photo", "other")
    assert shown.exit_code == 0, shown.output
    assert "in two clusters, 0 and 2" in shown.output
    assert "teacher      other" in shown.output
    assert "link         none" in shown.output
    assert "uri_not_found" in shown.output and "thumbnail" in shown.output


def test_json_holds_the_same(config: Path) -> None:
    shown = run(config, "photo", "copy", "--json")
    found = json.loads(shown.output)
    assert found["pins"] == ["photo", "copy"] and found["same_cluster"] is True
    assert found["link"]["hamming"] == 99 and found["link"]["model"] == "m"
    assert found["teacher"]["verdict"] == "same" and found["teacher"]["mirrored"] is True
    assert np.array(found["teacher"]["transform"]).shape == (3, 3)
    assert 0 < found["probability"] <= 1 and found["model"] == Classifier.load().version


def test_without_a_picture_all_but_the_teacher_is_there(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "none.png"
    shown = run(config, "photo", "bare", "--out", str(out))
    assert shown.exit_code == 0, shown.output
    assert "of bare: the lake keeps none of it" in shown.output
    assert "name them with --picture-a and --picture-b" in shown.output
    assert "bits" in shown.output and "classifier" in shown.output
    assert "was not written" in shown.output and not out.exists()
    assert json.loads(run(config, "photo", "bare", "--json").output)["teacher"] is None


def test_a_blank_wall_has_no_local_features(lake: Lake, config: Path, tmp_path: Path) -> None:
    wall, out = str(pictures(lake) / "wall.png"), tmp_path / "wall.png"
    shown = run(config, "photo", "bare", "--picture-b", wall, "--out", str(out))
    assert shown.exit_code == 0, shown.output
    assert "unsure: no local features in at least one picture" in shown.output
    with Image.open(out) as drawn:
        assert drawn.width > 900
    both = run(config, "photo", "bare", "--picture-a", wall, "--picture-b", wall)
    assert "unsure: no local features" in both.output


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("nobody", "No pin 'nobody' is in"), ("gone", "The pin 'gone' was deleted at")],
)
def test_unknown_and_deleted_pins(config: Path, name: str, sentence: str) -> None:
    with pytest.raises(LakeError, match=sentence):
        explain(settings_of(config), ("photo", name))


def test_an_unreadable_file_is_named(config: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff and no more")
    with pytest.raises(SettingsError, match=r"broken\.jpg.*truncated_image"):
        explain(settings_of(config), ("photo", "bare"), (None, broken))


def test_a_picture_outside_the_allowed_roots_is_not_read(lake: Lake) -> None:
    settings = load_settings(None, lake={"path": lake.path})
    found = explain(settings, ("photo", "bare"))
    assert found.pictures[0].image is None
    assert "uri_not_allowed" in found.pictures[0].source


def test_signatures_of_another_hasher_are_refused(tmp_path: Path) -> None:
    lake = album(tmp_path)
    lake.append_rows("pins", [pin("alien", 2, 20, ordinal=5, signature=bytes(128), hasher="x")])
    row = {"pin_id": "alien", "ordinal": 5, "cluster_id": 5, "head": "alien"}
    lake.append_rows("clusters", [{**row, "generation": 0, "batch_seq": 2}])
    with pytest.raises(ArtifactError, match="trained on signatures of the hasher"):
        explain(load_settings(None, lake={"path": lake.path}), ("photo", "alien"))
