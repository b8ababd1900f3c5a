"""An explanation in words, as JSON, and as a picture with the matched points joined."""

from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from neardup.answers.explain import Explanation, Sight

SIDE_PX, GAP_PX, LINE_PX = 480, 12, 26
BACK, INK, STRAY = (255, 255, 255), (30, 30, 30), (190, 190, 190)


def in_words(found: Explanation) -> list[str]:
    """A sentence a line."""
    left, right, model = found.left, found.right, found.classifier
    together = (
        f"both in cluster {left.cluster_id} (head {left.head})"
        if left.cluster_id == right.cluster_id
        else f"in two clusters, {left.cluster_id} and {right.cluster_id}"
    )
    decision = "reported as duplicates" if found.duplicate else "not reported"
    lines = [
        f"pins         {left.pin_id} and {right.pin_id} are {together}",
        f"terms        they match in {found.overlap} of {found.plan.bands} bands; "
        f"{found.plan.min_overlap} make a candidate",
        f"bits         {found.hamming} of {8 * len(left.signature)} differ; "
        f"up to {model.radius} are scored",
        f"looks        {_looks(found)}",
        f"classifier   probability {found.probability:.4f} (log-odds {found.log_odds:.2f}, "
        f"threshold {model.threshold:.2f}) by {model.version}: {decision}",
        f"link         {_link(found)}",
    ]
    for pin, picture in zip((left, right), found.pictures, strict=True):
        lines.append(f"picture      of {pin.pin_id}: {picture.source}")
    lines.extend(f"teacher      {line}" for line in _seen(found.sight))
    return lines


def as_json(found: Explanation) -> dict[str, Any]:
    """The same as plain values, for ``json.dumps``."""
    sight, link = found.sight, found.link
    return {
        "pins": [found.left.pin_id, found.right.pin_id],
        "ordinals": [found.left.ordinal, found.right.ordinal],
        "clusters": [found.left.cluster_id, found.right.cluster_id],
        "same_cluster": found.left.cluster_id == found.right.cluster_id,
        "overlap": found.overlap,
        "bands": found.plan.bands,
        "candidates": found.candidates,
        "hamming": found.hamming,
        "radius": found.classifier.radius,
        "unlike": found.unlike,
        "log_odds": found.log_odds,
        "probability": found.probability,
        "threshold": found.classifier.threshold,
        "model": found.classifier.version,
        "duplicate": found.duplicate,
        "link": None if link is None else vars(link),
        "pictures": [picture.source for picture in found.pictures],
        "teacher": None if sight is None else _sight_json(sight),
    }


def draw(found: Explanation) -> Image.Image:
    """Both pictures side by side, the agreeing keypoints joined in colour, the others in grey.

    Raises ValueError without a sight.
    """
    left, right = (picture.image for picture in found.pictures)
    if left is None or right is None or found.sight is None:
        raise ValueError("two pictures are needed to draw")
    shown = [_fitted(image) for image in (left, right)]
    width, height = 2 * SIDE_PX + GAP_PX, max(image.height for image in shown) + 2 * LINE_PX
    canvas = Image.new("RGB", (width, height), BACK)
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(14)
    corners = ((0, LINE_PX), (SIDE_PX + GAP_PX, LINE_PX))
    for image, pin, corner in zip(shown, (found.left, found.right), corners, strict=True):
        canvas.paste(image, corner)
        pen.text((corner[0] + 4, 5), pin.pin_id[:56], INK, font)
    _join(pen, shown, corners, found.sight)
    words = _seen(found.sight)[0]
    pen.text((4, height - LINE_PX + 5), words[:130], INK, font)
    return canvas


def _looks(found: Explanation) -> str:
    if found.unlike is None:
        return "unknown: one of them came without a picture"
    shapes, colours = found.unlike
    return f"{shapes} of 128 bits of shape differ, {colours} of 64 of colour"


def _link(found: Explanation) -> str:
    link = found.link
    if link is not None:
        return (
            f"found when {link.newer} came, {link.hamming} bits from {link.older}, overlap "
            f"{link.overlap}, log-odds {link.log_odds:.2f} by {link.model}"
        )
    if found.candidates and found.duplicate:
        return "none: another model or plan decided when they came, or nearer pins took the places"
    if not found.candidates:
        return "none: a search does not find one from the other"
    return "none: below the threshold"


def _seen(sight: Sight | None) -> list[str]:
    if sight is None:
        return ["needs both pictures: name them with --picture-a and --picture-b"]
    values = sight.features
    if not values["keypoints"]:
        return [f"{sight.verdict}: no local features in at least one picture (a blank one?)"]
    if sight.transform is None:
        few = f"of at most {values['keypoints']:.0f} keypoints no three agree on one map"
        return [f"{sight.verdict}: {few}"]
    map_ = sight.transform[:2, :2]
    scale = float(np.sqrt(abs(np.linalg.det(map_))))
    turn = np.degrees(np.arctan2(-map_[0, 1], map_[1, 1]))  # a mirror changes only x
    mirror = ", mirrored" if sight.comparison.mirror else ""
    matched = len(sight.comparison.alignment.left) if sight.comparison.alignment else 0
    return [
        f"{sight.verdict} ({sight.probability:.3f}): {values['inliers']:.0f} of {matched} matched "
        f"keypoints agree: scaled by {scale:.2f}, turned by {turn:.1f} degrees{mirror}",
        f"overlap {values['overlap']:.0%} of the smaller picture, its grey levels correlate by "
        f"{values['correlation']:.2f}; by {sight.teacher}",
    ]


def _sight_json(sight: Sight) -> dict[str, Any]:
    transform = sight.transform
    return {
        "version": sight.teacher,
        "verdict": sight.verdict,
        "probability": sight.probability,
        "features": sight.features,
        "mirrored": sight.comparison.mirror,
        "transform": None if transform is None else transform.tolist(),
    }


def _fitted(image: Image.Image) -> Image.Image:
    factor = SIDE_PX / max(image.size)
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    return image.resize(size, Image.Resampling.BICUBIC)


def _join(
    pen: ImageDraw.ImageDraw,
    shown: list[Image.Image],
    corners: tuple[tuple[int, int], tuple[int, int]],
    sight: Sight,
) -> None:
    alignment = sight.comparison.alignment
    if alignment is None:
        return
    ends = []
    rows = (alignment.left, alignment.right)
    for image, look, corner, row in zip(shown, sight.looks, corners, rows, strict=True):
        ends.append(look.points[row] * (image.width / look.width) + corner)
    for i in np.argsort(alignment.inliers, kind="stable"):  # the agreeing ones on top
        (x0, y0), (x1, y1) = ends[0][i].tolist(), ends[1][i].tolist()
        hue = int(255 * i / max(1, len(alignment.inliers)))
        colour = _hue(hue) if alignment.inliers[i] else STRAY
        pen.line((x0, y0, x1, y1), colour, 1)
        for x, y in ((x0, y0), (x1, y1)):
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), outline=colour)


def _hue(hue: int) -> tuple[int, int, int]:
    pixel = np.asarray(Image.new("HSV", (1, 1), (hue, 220, 200)).convert("RGB"))[0, 0]
    red, green, blue = pixel.tolist()
    return red, green, blue
