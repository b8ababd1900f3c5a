"""Matching and alignment, against brute force, known maps and OpenCV's RANSAC."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from neardup.models.geometry import RATIO, align, apply, fit, match, overlay
from neardup.models.local_features import local_features, root_sift

PHOTOS = sorted((Path(__file__).parents[2] / "demo" / "photos").glob("*.jpg"))


def photo(number: int) -> Image.Image:
    return Image.open(PHOTOS[number]).convert("RGB")


def unit_rows(rng: np.random.Generator, n: int) -> np.ndarray:
    rows = rng.random((n, 128)).astype(np.float32) ** 4
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def matched_slowly(left: np.ndarray, right: np.ndarray) -> set[tuple[int, int]]:
    found = set()
    apart = np.linalg.norm(left[:, None].astype(np.float64) - right[None], axis=2)
    for i, row in enumerate(apart):
        j = int(row.argmin())
        if int(apart[:, j].argmin()) != i:
            continue
        others = [*np.delete(row, j), *np.delete(apart[:, j], i)]
        if row[j] <= RATIO * min(others):
            found.add((i, j))
    return found


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 20), st.integers(2, 20), st.integers(0, 2**32 - 1))
def test_matches_are_those_of_the_definition(m: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = unit_rows(rng, m), unit_rows(rng, n)
    shared = min(m, n) // 2
    right[:shared] = left[:shared] + 0.02 * right[:shared]
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    i, j = match(left, right)
    assert set(zip(i.tolist(), j.tolist(), strict=True)) == matched_slowly(left, right)


@pytest.mark.parametrize(("m", "n"), [(0, 0), (0, 5), (1, 5), (5, 1)])
def test_nothing_is_matched_where_there_is_no_second_best(m: int, n: int) -> None:
    rng = np.random.default_rng(1)
    i, j = match(unit_rows(rng, m), unit_rows(rng, n))
    assert len(i) == len(j) == 0


@given(st.integers(3, 12), st.integers(0, 2**32 - 1))
def test_least_squares_finds_the_map_that_was_used(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    turn, scale = rng.uniform(-3, 3), rng.uniform(0.3, 3)
    map_ = np.array(
        [
            [scale * np.cos(turn), -scale * np.sin(turn), rng.uniform(-90, 90)],
            [scale * np.sin(turn), scale * np.cos(turn), rng.uniform(-90, 90)],
        ]
    )
    points = rng.uniform(0, 320, (n, 2))
    assert np.allclose(fit(points, apply(map_, points)), map_, atol=1e-5)


@pytest.mark.parametrize("number", range(3))
def test_a_turned_and_scaled_copy_is_put_back_in_its_place(number: int) -> None:
    image = photo(number)
    copy = image.rotate(8, Image.Resampling.BICUBIC).resize((150, 120), Image.Resampling.BICUBIC)
    left, right = local_features(image), local_features(copy)
    found = align(left, right)
    assert found is not None and found.inliers.sum() > 20
    matched = root_sift(left.descriptors), root_sift(right.descriptors)
    i, j = match(*matched)
    theirs, _ = cv2.estimateAffine2D(left.points[i], right.points[j], ransacReprojThreshold=4.8)
    corners = np.array([[0, 0], [left.width, 0], [0, left.height], [left.width, left.height]])
    apart = np.hypot(*(apply(found.transform, corners) - apply(theirs, corners)).T)
    assert apart.max() < 6, f"{apart} pixels from OpenCV's RANSAC"
    levels, covered, share = overlay(left, right, found.transform)
    assert np.corrcoef(levels[covered], right.grey[covered])[0, 1] > 0.8  # the corners are filled
    assert share > 0.9


def test_other_pictures_agree_on_little() -> None:
    looks = [local_features(photo(number)) for number in range(6)]
    for i in range(6):
        for j in range(i):
            found = align(looks[i], looks[j])
            assert found is None or found.inliers.sum() < 10


def test_overlap_is_a_share_of_the_smaller_picture() -> None:
    look = local_features(photo(0))
    levels, covered, share = overlay(look, look, np.eye(2, 3))
    assert covered.all() and share == 1
    assert np.abs(levels - look.grey).max() < 1e-6
    half = np.array([[1.0, 0, look.width / 2], [0, 1, 0]])
    assert overlay(look, look, half)[2] == pytest.approx(0.5, abs=0.02)
    inside = np.array([[0.5, 0, 10], [0, 0.5, 10]])  # the left picture, half as large, in the right
    assert overlay(look, look, inside)[2] == pytest.approx(1.0, abs=0.05)
    apart = np.array([[1.0, 0, 2 * look.width], [0, 1, 0]])
    levels, covered, share = overlay(look, look, apart)
    assert not covered.any() and share == 0
