"""The eight ways to lay a picture down."""

from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageOps

from neardup.models.views import transposes, views
from neardup.schemas.settings import QUERY_VIEWS


def pixels(image: Image.Image) -> bytes:
    return repr(image.size).encode() + image.tobytes()


@pytest.fixture
def picture() -> Image.Image:
    """No two of its eight positions are alike."""
    return Image.fromarray(np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3))


def test_the_mirror_image(picture: Image.Image) -> None:
    (mirrored,) = views(picture, ["mirror"])
    assert pixels(mirrored) == pixels(ImageOps.mirror(picture))


def test_quarter_turns(picture: Image.Image) -> None:
    turned = [pixels(view) for view in views(picture, ["turns"])]
    assert turned == [pixels(picture.rotate(degrees, expand=True)) for degrees in (90, 180, 270)]


def test_both_are_all_positions_and_each_finds_all_others(picture: Image.Image) -> None:
    """Whichever position was stored, one view of whichever is posted lies just so."""
    positions = [picture, *views(picture, QUERY_VIEWS)]
    assert len({pixels(position) for position in positions}) == 8
    for position in positions:
        seen = {pixels(view) for view in (position, *views(position, QUERY_VIEWS))}
        assert seen == {pixels(other) for other in positions}


@pytest.mark.parametrize("names", [(), ("mirror",), ("turns",), ("turns", "mirror")])
def test_the_order_is_fixed(names: tuple[str, ...]) -> None:
    """Mirror, turns, mirrored turns, whatever the order of the names and what is left out."""
    everything = transposes(QUERY_VIEWS)
    assert transposes(names) == tuple(t for t in everything if t in transposes(names))
    assert len(transposes(names)) == {(): 0, ("mirror",): 1, ("turns",): 3}.get(names, 7)


def test_other_names_are_refused() -> None:
    for names in combinations(("mirror", "upside-down", "turns"), 2):
        if "upside-down" in names:
            with pytest.raises(ValueError, match="'upside-down' is no view; there are mirror"):
                transposes(names)
