"""Views of a picture under which an older copy may be stored: its mirror image, its quarter turns.

A new picture is searched for under its views as well as upright. They are made of the decoded
pixels: nothing is encoded again.
"""

from collections.abc import Iterator, Sequence

from PIL.Image import Image, Transpose

from neardup.schemas.settings import QUERY_VIEWS

MIRROR = (Transpose.FLIP_LEFT_RIGHT,)
TURNS = (Transpose.ROTATE_90, Transpose.ROTATE_180, Transpose.ROTATE_270)
MIRRORED_TURNS = (Transpose.TRANSPOSE, Transpose.FLIP_TOP_BOTTOM, Transpose.TRANSVERSE)


def transposes(names: Sequence[str]) -> tuple[Transpose, ...]:
    """What makes the views that ``names`` (of QUERY_VIEWS) stand for: 0, 1, 3 or 7 of them.

    The mirror image comes first, whatever the order of the names; then the quarter turns; with both
    names then the mirrored turns, which completes the eight ways to lay a picture down. Raises
    ValueError for another name.
    """
    unknown = [name for name in names if name not in QUERY_VIEWS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no view; there are {', '.join(QUERY_VIEWS)}")
    mirror, turns = ("mirror" in names), ("turns" in names)
    return MIRROR * mirror + TURNS * turns + MIRRORED_TURNS * (mirror and turns)


def views(image: Image, names: Sequence[str]) -> Iterator[Image]:
    """The views of a picture, one after the other, so that one at a time is held in memory."""
    return (image.transpose(transpose) for transpose in transposes(names))
