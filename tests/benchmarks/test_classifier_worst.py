"""Which reported pairs are false, on a handful of real pictures, and the sheet of them."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from neardup.benchmarks.classifier_data import Codes
from neardup.benchmarks.classifier_geometry import ABOVE, BELOW, checked
from neardup.benchmarks.classifier_worst import reported, sheet
from neardup.models.classifier import Classifier
from neardup.models.edits import edit
from neardup.models.looks import LOOKS_BYTES
from neardup.models.teacher import Teacher

PHOTOS = sorted((Path(__file__).parents[2] / "demo" / "photos").glob("*.jpg"))


def test_reported_pairs_are_judged_and_drawn(tmp_path: Path) -> None:
    """Signatures that are all one: everything is reported, and only the copy is no error."""
    copy = edit(Image.open(PHOTOS[0]).convert("RGB"), "crop", 0.3, np.random.default_rng(1))
    copy.save(tmp_path / "copy.png")
    files = [*(Path(shutil.copy(photo, tmp_path)) for photo in PHOTOS[:3]), tmp_path / "copy.png"]
    one = np.repeat(np.arange(128, dtype=np.uint8)[None], 4, axis=0)
    codes = Codes(one, one[:, :LOOKS_BYTES])
    found = reported(files, codes, Classifier.load(), Teacher.load())
    assert found.comparisons == len(found.left) == 6
    assert (np.diff(found.score) <= 0).all()
    pairs = list(zip(found.left.tolist(), found.right.tolist(), strict=True))
    assert [pair for pair, false in zip(pairs, found.false, strict=True) if not false] == [(0, 3)]
    assert found.false_per_million == 1e6 * 5 / 6
    full, short = sheet(files, found), sheet(files, found, worst=2)
    assert full.width == short.width
    assert np.asarray(full).std() > 20
    beyond = np.asarray(short)[:, short.width // 2 :]
    assert (beyond == 255).all(), "more pairs are drawn than were asked for"


def test_far_pictures_are_not_reported(tmp_path: Path) -> None:
    signatures = np.random.default_rng(1).integers(0, 256, (3, 128), np.uint8)
    codes = Codes(signatures, signatures[:, :LOOKS_BYTES])
    found = reported(PHOTOS[:3], codes, Classifier.load(), Teacher.load())
    assert len(found.left) == 0 and found.false_per_million == 0
    assert sheet(PHOTOS[:3], found).height > 0


def test_only_doubtful_pairs_are_decided_by_the_teacher() -> None:
    threshold = 2.0
    scores = np.array([-np.inf, threshold - BELOW - 1, 1.0, 1.0, threshold + ABOVE + 1])
    seen = np.array([1.0, 1.0, 1.0, 0.1, 0.0])
    after, doubtful = checked(scores, seen, threshold)
    assert doubtful.tolist() == [2, 3]
    assert (after[[0, 1, 4]] == scores[[0, 1, 4]]).all()
    assert after[2] > threshold > after[3]
    after, doubtful = checked(scores, seen, threshold, beyond=True)
    assert doubtful.tolist() == [0, 2, 3] and after[0] > threshold
