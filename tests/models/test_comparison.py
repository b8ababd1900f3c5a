"""The ten numbers: what edits, decorations and other pictures do to them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neardup.models.comparison import FEATURES, Comparison, compare
from neardup.models.edits import edit
from neardup.models.local_features import local_features

PHOTOS = sorted((Path(__file__).parents[2] / "demo" / "photos").glob("*.jpg"))


def photo(number: int) -> Image.Image:
    return Image.open(PHOTOS[number]).convert("RGB")


def seen(left: Image.Image, right: Image.Image) -> tuple[Comparison, dict[str, float]]:
    found = compare(local_features(left), local_features(right))
    return found, dict(zip(FEATURES, found.features.tolist(), strict=True))


def test_a_picture_agrees_with_itself() -> None:
    found, values = seen(photo(0), photo(0))
    assert not found.mirror
    assert values["inlier_ratio"] == values["overlap"] == 1
    assert values["residual"] < 0.01 and values["scale"] < 0.01
    assert values["correlation"] > 0.99 and values["agreement"] > 0.99


def test_a_mirror_image_is_found_in_the_mirror() -> None:
    found, values = seen(photo(1), photo(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    assert found.mirror
    assert values["inliers"] > 50 and values["agreement"] > 0.9


@pytest.mark.parametrize("name", ["crop", "stretch", "grey", "border", "rotate", "recompress"])
def test_an_edit_leaves_keypoints_and_blocks_in_agreement(name: str) -> None:
    _, values = seen(edit(photo(2), name, 0.5, np.random.default_rng(1)), photo(2))
    assert values["inliers"] >= 15
    assert values["agreement"] > 0.7
    assert values["overlap"] > 0.8


def test_the_same_words_on_two_pictures_do_not_make_their_blocks_agree() -> None:
    sides = [edit(photo(i), "meme", 0.5, np.random.default_rng(7)) for i in (3, 4)]
    _, values = seen(*sides)
    assert values["inliers"] >= 10, "the words are not matched: the test shows nothing"
    assert values["agreement"] < 0.5


def test_blank_walls_are_compared_without_a_word() -> None:
    wall, noise = Image.new("RGB", (300, 200), (9, 9, 9)), photo(0)
    for left, right in ((wall, wall), (wall, noise), (noise, wall)):
        found, values = seen(left, right)
        assert found.alignment is None
        assert values["inliers"] == values["keypoints"] == 0
