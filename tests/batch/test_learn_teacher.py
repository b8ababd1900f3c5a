"""A teacher from a folder, written with its figures, the same again from the same seed."""

import shutil
from pathlib import Path

import pytest

from neardup.batch.learn_teacher import learn_teacher
from neardup.batch.train import held_out
from neardup.models.artifact import load_artifact
from neardup.models.teacher import Teacher
from neardup.schemas.errors import SettingsError

PHOTOS = sorted((Path(__file__).parents[2] / "demo" / "photos").glob("*.jpg"))


def test_learned_written_and_repeated(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    chosen = held_out([photo.name for photo in PHOTOS])
    held = [photo for photo, out in zip(PHOTOS, chosen, strict=True) if out]
    learned = [photo for photo in PHOTOS if photo not in held]
    for photo in [*held[:3], *learned[:9]]:
        shutil.copy(photo, folder)
    made = learn_teacher([folder], tmp_path / "teacher.npz", sources=6, seed=4)
    card = load_artifact(tmp_path / "teacher.npz", "teacher").card
    assert Teacher.load(tmp_path / "teacher.npz").version == made.version == card["version"]
    assert card["sources"] == 6
    assert card["held_out"]["true_pairs"] == 3 * 4
    assert card["held_out"]["precision"] > 0.8
    again = learn_teacher([folder], tmp_path / "again.npz", sources=6, seed=4)
    assert again.version == made.version


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No readable picture"):
        learn_teacher([tmp_path], tmp_path / "teacher.npz")
