"""Looks: the same bits by plain arithmetic, mirrored or not, and what they do to a score."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from neardup.models.classifier import (
    WITHOUT_LOOKS,
    Classifier,
    judged_numpy,
    log_odds_numpy,
    with_looks,
)
from neardup.models.hasher import Hasher, learn_hasher
from neardup.models.looks import LOOKS_BYTES, LooksHasher, learn_looks, present, unlike
from neardup.models.pixels import FEATURES, SIDE, looks_features

SEEDS = st.integers(0, 2**32 - 1)


def picture(seed: int) -> Image.Image:
    """Blurred noise, as wide as the looks are made from, so that nothing is scaled."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def features_in_python(image: Image.Image) -> list[int]:
    """The oracle: sums over pixels, one coefficient and one colour at a time."""
    pixels = [list(row) for row in np.asarray(image.convert("YCbCr")).tolist()]
    greys = [[y for y, _, _ in row] for row in pixels]
    every = [y for row in greys for y in row]
    mean = sum(every) / len(every)
    spread = math.sqrt(sum((y - mean) ** 2 for y in every) / len(every)) + 4
    waves = [
        [
            math.cos(math.pi * (2 * at + 1) * k / (2 * SIDE)) * math.sqrt(2 / SIDE)
            for at in range(SIDE)
        ]
        for k in range(8)
    ]

    def coefficient(down: int, across: int) -> int:
        rows = (sum(y * w for y, w in zip(row, waves[across], strict=True)) for row in greys)
        return round(128 * sum(r * w for r, w in zip(rows, waves[down], strict=True)) / spread)

    places = [(down, across) for down in range(8) for across in range(8)]
    even = [coefficient(*place) for place in places if place[1] % 2 == 0][1:]
    odd = [coefficient(*place) for place in places if place[1] % 2]
    colours = [0] * 64
    for row in pixels:
        for y, *chroma in row:
            blue, red = (min(3, max(0, (value - 96) // 16)) for value in chroma)
            colours[16 * (y // 64) + 4 * blue + red] += 1
    return even + odd + [round(128 * math.sqrt(count)) for count in colours]


@pytest.fixture(scope="module")
def hasher() -> LooksHasher:
    originals = np.stack([looks_features(picture(seed)) for seed in range(80)])
    rng = np.random.default_rng(1)
    source = np.arange(80).repeat(3)
    edited = originals[source] + rng.integers(-90, 90, (240, FEATURES), np.int16)
    return learn_looks(originals, edited, source, seed=1)


def test_features_are_those_of_plain_arithmetic() -> None:
    found = looks_features(picture(5)).tolist()
    assert max(abs(a - b) for a, b in zip(found, features_in_python(picture(5)), strict=True)) <= 1


def test_a_picture_of_one_grey_has_features(hasher: LooksHasher) -> None:
    found = looks_features(Image.new("RGB", (3, 9), (128, 128, 128)))
    assert found[:63].any() == False and found[63:].tolist().count(128 * SIDE) == 1  # noqa: E712
    assert hasher.sign(found[None]).any()


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_a_mirrored_picture_has_no_other_looks(hasher: LooksHasher, seed: int) -> None:
    image = picture(seed)
    features = [
        looks_features(image),
        looks_features(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    ]
    looks = hasher.sign(np.stack(features))
    shapes, colours = unlike(looks[:1], looks[1:])
    assert shapes[0] <= 1 and colours[0] == 0  # 1: a coefficient of nought has no sign to turn
    assert np.bitwise_count(looks[0, 8:16] ^ looks[1, 8:16]).sum() >= 63


@given(SEEDS)
@settings(max_examples=50, deadline=None)
def test_unlike_counts_bits(seed: int) -> None:
    left, right = np.random.default_rng(seed).integers(0, 256, (2, 9, LOOKS_BYTES), np.uint8)
    shapes, colours = unlike(left, right)
    for a, b, shape, colour in zip(left, right, shapes, colours, strict=True):
        bits = np.unpackbits(a) != np.unpackbits(b)
        odd = int(bits[64:128].sum())
        assert shape == int(bits[:64].sum()) + min(odd, 64 - odd)
        assert colour == int(bits[128:].sum())


def test_without_variety_nothing_breaks_and_no_looks_are_nought() -> None:
    same = np.zeros((30, FEATURES), np.int16)
    made = learn_looks(same, same, np.arange(30), seed=1)
    looks = made.sign(same)
    assert looks.any(axis=1).all()
    assert present(looks, looks).all() and not present(looks, np.zeros_like(looks)).any()


def test_looks_move_the_score_only_where_both_sides_have_them() -> None:
    classifier, rng = Classifier.load(), np.random.default_rng(3)
    left = rng.integers(0, 256, (40, 128), np.uint8)
    right = left ^ np.packbits(rng.random((40, 1024)) < 0.2, axis=1)
    looks = rng.integers(0, 256, (2, 40, LOOKS_BYTES), np.uint8)
    looks[0, :10], looks[1, 5:15] = 0, 0
    bare = log_odds_numpy(classifier, left, right)
    judged = judged_numpy(classifier, left, right, *looks)
    np.testing.assert_array_equal(judged[:15], bare[:15])
    kept, constant, shape, colour = classifier.weights["looks"].tolist()
    top = float(classifier.weights["count"][3]) * float(classifier.weights["unit"])
    for i in range(15, 40):
        shapes, colours = (
            int(bits[0]) for bits in unlike(looks[0, i : i + 1], looks[1, i : i + 1])
        )
        wanted = kept * float(bare[i]) + constant - shape * shapes - colour * colours
        assert judged[i] == np.float32(min(wanted, top))
    near = with_looks(classifier.weights, bare, looks[0], looks[0])
    assert (near[10:] >= judged[10:]).all() and (near[15:] > judged[15:]).any()


def test_a_classifier_from_before_looks_keeps_its_version_and_its_scores() -> None:
    arrays = {**Classifier.load().to_arrays(), "looks": WITHOUT_LOOKS}
    told = Classifier.from_arrays(arrays)
    del arrays["looks"]
    older = Classifier.from_arrays(arrays)
    assert older.version == told.version
    scores, looks = np.linspace(-9, 9, 7).astype(np.float32), np.full((7, LOOKS_BYTES), 3, np.uint8)
    np.testing.assert_array_equal(with_looks(older.weights, scores, looks, ~looks), scores)


def test_looks_are_no_part_of_what_makes_signatures_comparable(hasher: LooksHasher) -> None:
    rng = np.random.default_rng(4)
    pictures = rng.normal(size=(40, 96)).astype(np.float32)
    source = np.arange(40).repeat(2)
    copies = pictures[source] + rng.normal(scale=0.1, size=(80, 96)).astype(np.float32)
    bare, seeing = (
        learn_hasher(pictures, copies, source, 1, directions=64, looks=looks)
        for looks in (None, hasher)
    )
    assert isinstance(seeing, Hasher) and seeing.looks is hasher
    assert bare.version == seeing.version
