"""Keypoints of real pictures, of small ones, and of none."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neardup.models.local_features import (
    KEYPOINTS,
    LONGEST_PX,
    local_features,
    mirrored,
    root_sift,
)

PHOTOS = sorted((Path(__file__).parents[2] / "demo" / "photos").glob("*.jpg"))[:4]


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda path: path.stem)
def test_shapes_and_limits(photo: Path) -> None:
    image = Image.open(photo).convert("RGB")
    features = local_features(image)
    n = len(features)
    assert 50 < n <= KEYPOINTS
    assert features.points.shape == (n, 2) and features.descriptors.shape == (n, 128)
    assert features.scales.shape == features.angles.shape == (n,)
    assert max(features.width, features.height) == LONGEST_PX
    assert abs(features.width / features.height - image.width / image.height) < 0.01
    assert (features.points >= 0).all()
    assert (features.points <= (features.width, features.height)).all()


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda path: path.stem)
def test_a_mirrored_descriptor_is_a_permutation(photo: Path) -> None:
    """Against the keypoints that OpenCV finds in the mirrored picture."""
    image = Image.open(photo).convert("RGB")
    guessed = mirrored(local_features(image))
    found = local_features(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    apart = np.hypot(*(guessed.points[:, None] - found.points[None]).transpose(2, 0, 1))
    turn = np.exp(1j * guessed.angles[:, None]) * np.exp(-1j * found.angles[None])
    left, right = np.nonzero((apart < 1) & (np.abs(np.angle(turn)) < 0.1))
    assert len(left) > 0.7 * len(found)
    likeness = root_sift(guessed.descriptors[left]) * root_sift(found.descriptors[right])
    assert np.median(likeness.sum(axis=1)) > 0.99
    assert (mirrored(guessed).descriptors == local_features(image).descriptors).all()


@pytest.mark.parametrize("size", [(1, 1), (400, 300), (2000, 1), (1, 3000)])
def test_a_blank_wall_has_no_keypoints(size: tuple[int, int]) -> None:
    features = local_features(Image.new("RGB", size, (200, 180, 160)))
    assert len(features) == 0
    assert features.points.shape == (0, 2) and features.descriptors.shape == (0, 128)
    assert len(mirrored(features)) == 0


def test_the_same_picture_gives_the_same_keypoints() -> None:
    image = Image.open(PHOTOS[0]).convert("RGB")
    first, second = local_features(image), local_features(image)
    for name in ("points", "scales", "angles", "descriptors", "grey"):
        assert (getattr(first, name) == getattr(second, name)).all()
