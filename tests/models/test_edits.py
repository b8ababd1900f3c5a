"""Every edit: the same generator gives the same picture, and the picture given stays as it was."""

import numpy as np
import pytest
from PIL import Image

from neardup.models.edits import EDITS, edit
from neardup.models.embed import open_embedder


def picture(width: int = 120, height: int = 80, fields: tuple[int, int] = (6, 9)) -> Image.Image:
    rng = np.random.default_rng(9)
    return Image.fromarray(rng.integers(0, 256, (*fields, 3), dtype=np.uint8)).resize(
        (width, height)
    )


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_same_seed_same_picture(name: str, strength: float) -> None:
    image = picture()
    before = image.tobytes()
    one, two = (edit(image, name, strength, np.random.default_rng(4)) for _ in range(2))
    assert one.mode == "RGB"
    assert (one.size, one.tobytes()) == (two.size, two.tobytes())
    assert image.tobytes() == before
    if strength:
        assert (one.size, one.tobytes()) != (image.size, before)


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("size", [(1, 1), (2, 300), (300, 2)])
def test_odd_shapes_are_edited_too(name: str, size: tuple[int, int]) -> None:
    for seed in range(3):
        edited = edit(picture(*size), name, 1.0, np.random.default_rng(seed))
        assert min(edited.size) >= 1


@pytest.mark.parametrize("name", sorted(set(EDITS) - {"flip"}))
def test_stronger_is_farther(name: str) -> None:
    image = picture(240, 160, fields=(60, 90) if name == "thumbnail" else (6, 9))
    rngs = [np.random.default_rng(6) for _ in range(2)]
    copies = [edit(image, name, s, rng) for s, rng in zip((0.0, 1.0), rngs, strict=True)]
    vectors = open_embedder("mobilenet_v1").embed([image, *copies])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert unit[0] @ unit[1] > unit[0] @ unit[2]


def test_a_crop_keeps_at_least_half() -> None:
    image = edit(picture(200, 200), "crop", 1.0, np.random.default_rng(1))
    assert image.width * image.height >= 0.49 * 200 * 200


def test_wrong_calls_are_refused() -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(ValueError, match=r"1\.1"):
        edit(picture(), "crop", 1.1, rng)
    with pytest.raises(KeyError):
        edit(picture(), "no such edit", 0.5, rng)
