"""Candidates against brute force; a few real pictures through the whole of mining."""

import csv
import shutil
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from neardup.batch.mine import candidates, mine_pairs, write_mined
from neardup.cli.mine import command
from neardup.models.edits import edit
from neardup.models.teacher import Teacher

PHOTOS = sorted((Path(__file__).parents[2] / "demo" / "photos").glob("*.jpg"))


def crowd(rng: np.random.Generator, n: int) -> np.ndarray:
    """Signatures in a few heaps, so that many are near one another and some equally near."""
    heaps = rng.integers(0, 2, (3, 1024), np.uint8)
    bits = heaps[rng.integers(0, 3, n)] ^ (rng.random((n, 1024)) < 0.1)
    return np.packbits(bits.astype(np.uint8), axis=1)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 25), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_candidates_are_each_ones_nearest(n: int, nearest: int, seed: int) -> None:
    signatures = crowd(np.random.default_rng(seed), n)
    radius, wanted = 200, set()
    for i in range(n):
        apart = np.bitwise_count(signatures ^ signatures[i]).sum(axis=1, dtype=int)
        others = sorted((apart[j], j) for j in range(n) if j != i and apart[j] <= radius)
        wanted |= {(int(bits), min(i, j), max(i, j)) for bits, j in others[:nearest]}
    left, right, hamming = candidates(signatures, radius, nearest, 10**6)
    found = list(zip(hamming.tolist(), left.tolist(), right.tolist(), strict=True))
    assert found == sorted(wanted)
    some = candidates(signatures, radius, nearest, 3)
    assert [column.tolist() for column in some] == [
        column.tolist() for column in (left[:3], right[:3], hamming[:3])
    ]


def test_a_copy_among_other_pictures_is_mined(tmp_path: Path) -> None:
    files = PHOTOS[:3]
    copy = edit(Image.open(PHOTOS[0]).convert("RGB"), "crop", 0.4, np.random.default_rng(1))
    copy.save(tmp_path / "copy.png")
    Image.new("RGB", (90, 60), (1, 2, 3)).save(tmp_path / "wall.png")
    files = [*files, tmp_path / "copy.png", tmp_path / "wall.png"]
    signatures = np.zeros((5, 128), np.uint8)  # all alike: every pair is a candidate
    mined = mine_pairs(files, signatures, Teacher.load(), nearest=5)
    verdicts = {
        (int(i), int(j)): str(word)
        for i, j, word in zip(mined.left, mined.right, mined.verdict, strict=True)
    }
    assert len(verdicts) == 10
    assert verdicts[0, 3] == "same"
    assert {verdicts[i, 4] for i in range(4)} == {"unsure"}, "a blank wall has nothing to look at"
    others = {verdicts[pair] for pair in ((0, 1), (0, 2), (1, 2), (1, 3), (2, 3))}
    assert "same" not in others and "other" in others
    write_mined(tmp_path / "mined.csv", {"demo": (mined, [file.name for file in files])})
    with (tmp_path / "mined.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    same = [(row["folder"], row["left"], row["right"]) for row in rows if row["label"] == "same"]
    assert same == [("demo", PHOTOS[0].name, "copy.png")]


def test_the_command_mines_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    folder.mkdir()
    for photo in PHOTOS[:4]:
        shutil.copy(photo, folder)
    image = Image.open(PHOTOS[2]).convert("RGB")
    edit(image, "border", 0.3, np.random.default_rng(1)).save(folder / "again.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    out = tmp_path / "mined.csv"
    shown = CliRunner().invoke(command, ["--images", str(folder), "--out", str(out)])
    assert shown.exit_code == 0, shown.output
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    same = [{row["left"], row["right"]} for row in rows if row["label"] == "same"]
    assert same == [{PHOTOS[2].name, "again.png"}]
    assert {row["folder"] for row in rows} == {"holiday"}


def test_one_picture_or_none_gives_no_pairs() -> None:
    for n in (0, 1):
        mined = mine_pairs(PHOTOS[:n], np.zeros((n, 128), np.uint8), Teacher.load())
        assert len(mined.left) == len(mined.verdict) == 0
        assert mined.features.shape == (0, 10)
