"""Embeddings of a training are kept as they come, and taken up again."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neardup.batch import pictures
from neardup.batch.pictures import Recipe, embed_folders

RECIPE = Recipe("mobilenet_v1", None, 2, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    made.mkdir()
    rng = np.random.default_rng(1)
    for i in range(3):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(made / f"{i}.png")
    return made


def test_what_is_kept_is_not_embedded_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = embed_folders([folder], RECIPE, cache=tmp_path / "kept")
    plain = embed_folders([folder], RECIPE)

    def fail(*_: object) -> None:
        raise AssertionError("embedded again")

    monkeypatch.setattr(pictures, "_embedded", fail)
    again = embed_folders([folder], RECIPE, cache=tmp_path / "kept")
    for one in (again, plain):
        np.testing.assert_array_equal(one.originals, first.originals)
        np.testing.assert_array_equal(one.edited, first.edited)
        assert (one.names, one.edits) == (first.names, first.edits)
    for other in (RECIPE._replace(copies=3), RECIPE._replace(seed=2)):
        with pytest.raises(AssertionError, match="embedded again"):
            embed_folders([folder], other, cache=tmp_path / "kept")
    Image.new("RGB", (9, 9)).save(folder / "1.png")  # the same name, another picture
    with pytest.raises(AssertionError, match="embedded again"):
        embed_folders([folder], RECIPE, cache=tmp_path / "kept")


def test_unreadable_files_are_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "broken.jpg").write_bytes(b"no picture")
    with caplog.at_level(logging.WARNING):
        found = embed_folders([folder], RECIPE)
    assert found.names == ["0.png", "1.png", "2.png"]
    assert "1 of 4 files are no readable picture: broken.jpg" in caplog.text
    assert all(":" in edits for edits in found.edits)
