"""Pairs, calibration and thresholds against plain loops; training on a small made-up crowd."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from neardup.batch.pictures import Embedded, Recipe
from neardup.batch.train import held_out, learn, read_verdicts, train
from neardup.models.calibration import calibrate, precision_recall, threshold_at
from neardup.models.classifier import Classifier, log_odds_numpy
from neardup.models.embed import open_embedder
from neardup.models.hasher import Hasher
from neardup.models.images import decode
from neardup.models.looks import LOOKS_BYTES
from neardup.models.pixels import FEATURES
from neardup.models.training import (
    Labelled,
    hard_negatives,
    pair_keys,
    pairs_within,
    random_negatives,
    true_pairs,
)
from neardup.schemas.errors import SettingsError, TrainingError

SEEDS = st.integers(0, 2**32 - 1)


def crowd(seed: int, sources: int = 12, of_each: int = 4) -> Labelled:
    rng = np.random.default_rng(seed)
    source = rng.permutation(np.repeat(np.arange(sources), of_each))
    base = rng.random((sources, 1024)) < 0.5
    flips = rng.random((len(source), 1024)) < rng.uniform(0, 0.4, (len(source), 1))
    doubtful = pair_keys(rng.integers(0, sources, 6), rng.integers(0, sources, 6))
    signatures = np.packbits(base[source] ^ flips, axis=1)
    looks = np.zeros((len(source), LOOKS_BYTES), np.uint8)
    return Labelled(signatures, looks, source, np.zeros(len(source), np.int64), doubtful)


def distance(crowd: Labelled, a: int, b: int) -> int:
    return int(np.bitwise_count(crowd.signatures[a] ^ crowd.signatures[b]).sum())


def doubt(crowd: Labelled, a: int, b: int) -> bool:
    return int(pair_keys(crowd.source[a], crowd.source[b])) in crowd.doubtful.tolist()


def unordered(pairs: Any) -> set[tuple[int, int]]:
    return {
        (min(a, b), max(a, b))
        for a, b in zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)
    }


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_true_pairs_are_all_of_one_source(seed: int) -> None:
    source = np.random.default_rng(seed).integers(0, 9, 30)
    rows = range(30)
    expected = {(a, b) for a in rows for b in rows if a < b and source[a] == source[b]}
    found = true_pairs(source)
    assert unordered(found) == expected
    assert len(found.left) == len(expected)


@given(seed=SEEDS, radius=st.integers(200, 520))
@settings(max_examples=20, deadline=None)
def test_pairs_within_is_the_double_loop(seed: int, radius: int) -> None:
    made = crowd(seed)
    rows = range(len(made.source))
    expected = {
        (a, b)
        for a in rows
        for b in rows
        if a < b
        and distance(made, a, b) <= radius
        and (made.source[a] == made.source[b] or not doubt(made, a, b))
    }
    found = pairs_within(made, radius)
    assert unordered(found) == expected
    assert (found.same == (made.source[found.left] == made.source[found.right])).all()


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_hard_negatives_are_near_and_false(seed: int) -> None:
    made = crowd(seed)
    found = hard_negatives(made, nearest=3, queries=20, seed=seed)
    assert len(np.unique(found.left)) <= 20
    assert np.bincount(found.left).max() <= 3
    for a, b in zip(found.left.tolist(), found.right.tolist(), strict=True):
        assert made.source[a] != made.source[b]
        assert not doubt(made, a, b)


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_hard_negatives_are_the_hardest(seed: int) -> None:
    made = crowd(seed)
    made = Labelled(made.signatures, made.looks, made.source, made.edits, np.empty(0, np.int64))
    found = hard_negatives(made, nearest=3, queries=20, seed=seed)
    for a in np.unique(found.left).tolist():
        rows = range(len(made.source))
        others = [distance(made, a, b) for b in rows if made.source[a] != made.source[b]]
        chosen = [distance(made, a, b) for b in found.right[found.left == a].tolist()]
        assert sorted(chosen) == sorted(others)[:3]


def test_random_negatives_are_false() -> None:
    made = crowd(3)
    found = random_negatives(made, 500, 1)
    assert len(found.left) > 300
    assert all(
        made.source[a] != made.source[b] and not doubt(made, a, b)
        for a, b in zip(found.left.tolist(), found.right.tolist(), strict=True)
    )


@given(seed=SEEDS, precision=st.sampled_from([0.5, 0.9, 0.99]))
@settings(max_examples=50, deadline=None)
def test_threshold_is_the_lowest_that_keeps_the_precision(seed: int, precision: float) -> None:
    rng = np.random.default_rng(seed)
    same = rng.random(60) < 0.6
    scores = np.round(rng.normal(2.0 * same, 1.0), 1)
    good = [t for t in set(scores.tolist()) if same[scores >= t].mean() >= precision]
    assert threshold_at(scores, same, precision) == (min(good) if good else float("inf"))


def test_precision_and_recall_count_what_was_out_of_reach() -> None:
    scores, same = np.array([3.0, 2.0, 1.0]), np.array([True, False, True])
    assert precision_recall(scores, same, 4, 2.0) == (0.5, 0.25)
    assert precision_recall(scores, same, 4, 9.0) == (0.0, 0.0)


def test_calibration_finds_the_odds_that_made_the_pairs() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0, 3, 50_000)
    same = rng.random(50_000) < 1 / (1 + np.exp(-(0.7 * values - 1)))
    scale = calibrate(values, same, values[same])
    assert scale.scale == pytest.approx(0.7, abs=0.03)
    assert np.mean(scale(values[same]) > 0) == pytest.approx(0.98, abs=0.002)
    with pytest.raises(ValueError, match="true and false"):
        calibrate(values, np.ones(50_000, np.bool_), values)


def embedded(pictures: int = 300) -> Embedded:
    rng = np.random.default_rng(2)
    originals = rng.gamma(0.5, 1, (pictures, 1024)).astype(np.float32)
    source = np.repeat(np.arange(pictures), 4)
    spread = rng.uniform(0.2, 1.2, (len(source), 1))
    edited = np.abs(originals[source] + spread * rng.normal(0, 1, (len(source), 1024)))
    return Embedded(
        names=[f"{i}.jpg" for i in range(pictures)],
        folder=np.zeros(pictures, np.int64),
        originals=originals,
        edited=edited.astype(np.float32),
        source=source,
        edits=["noise:0.50"] * len(source),
        original_looks=(looks := rng.integers(-99, 99, (pictures, FEATURES), np.int16)),
        edited_looks=looks[source] + rng.integers(-30, 30, (len(source), FEATURES), np.int16),
    )


def test_learning_twice_gives_one_classifier() -> None:
    recipe = Recipe("mobilenet_v1", None, 4, 1)
    one, two = (learn(embedded(), ["made-up"], recipe) for _ in range(2))
    assert one.classifier.version == two.classifier.version
    one.classifier.check_hasher(one.hasher.version)
    assert one.figures["made-up"]["threshold_precision"] >= 0.99
    assert one.figures["held_out"] == held_out(embedded().names).sum()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"names": ["one.jpg"]}, "1 readable picture: at least 20"),
        ({"originals": np.full((300, 1024), 0.5, np.float32)}, "All 300 pictures are equal"),
        ({"originals": np.full((300, 1024), np.nan, np.float32)}, "300 of 300 pictures hold"),
        ({"edited": np.full((1200, 1024), np.inf, np.float32)}, "1200 of 1200 copies hold"),
    ],
)
def test_what_nothing_can_be_learned_from_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        learn(replace(embedded(), **change), ["made-up"], Recipe("mobilenet_v1", None, 4, 1))


def test_verdicts_are_read_by_folder_and_name(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.csv"
    lines = ["made-up,0.jpg,1.jpg,same", "made-up,3.jpg,2.jpg,other", "elsewhere,0.jpg,2.jpg,same"]
    path.write_text("folder,left,right,label\n" + "\n".join(lines) + "\nmade-up,4.jpg,5.jpg,unsure")
    found = read_verdicts(path, embedded(), ["made-up"])
    assert found.tolist() == [1, (4 << 32) | 5]
    path.write_text("folder,left,right,label\nmade-up,0.jpg,1.jpg,perhaps\n")
    with pytest.raises(SettingsError, match="perhaps"):
        read_verdicts(path, embedded(), ["made-up"])


@pytest.mark.data
def test_training_on_photos_end_to_end(shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in sorted((shared_data / "photos" / "images").iterdir())[:60]:
        (folder / path.name).symlink_to(path)
    (folder / "broken.jpg").write_bytes(b"no picture")
    made = train([folder], tmp_path / "out", copies=3)
    hasher = Hasher.load(tmp_path / "out" / "hasher.npz")
    classifier = Classifier.load(tmp_path / "out" / "classifier.npz")
    classifier.check_hasher(hasher.version)
    assert made.figures["pictures"] == 60
    card = json.loads((tmp_path / "out" / "classifier.json").read_text())
    assert (card["seed"], card["preset"], len(card["trained_on"])) == (1, "default", 64)
    assert (tmp_path / "out" / "reliability.svg").read_text().startswith("<svg")
    assert (tmp_path / "out" / "cache" / "net.npz").exists()
    image = decode(sorted(folder.glob("*.jpg"))[0].read_bytes())
    signed = hasher.sign(open_embedder("mobilenet_v1").embed([image, image.resize((150, 150))]))
    assert log_odds_numpy(classifier, signed[:1], signed[1:])[0] > classifier.threshold


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="There is no folder"):
        train([tmp_path / "none"], tmp_path)
    with pytest.raises(SettingsError, match="No readable picture"):
        train([tmp_path], tmp_path)
    Image.new("RGB", (8, 8)).save(tmp_path / "hidden.png")
    with pytest.raises(SettingsError, match="No readable picture"):
        train([tmp_path], tmp_path, without=["hidden.png"])
