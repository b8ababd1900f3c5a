"""What local features say about two pictures: ten numbers, and the alignment they come from."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.models.geometry import INLIER_PX, Alignment, align, apply, overlay
from neardup.models.local_features import LocalFeatures, mirrored

FEATURES = (
    "inliers",  # keypoints that one affine map takes to their match
    "inlier_ratio",  # of all matches
    "scale",  # |log| of how much larger one picture is drawn; both have the same longest side
    "stretch",  # longer to shorter axis of a circle after the map
    "residual",  # root mean square of the inliers' distances, pixels
    "overlap",  # share of the smaller picture that lies on the other, 0 to 1
    "spread",  # area that the inliers take (of an even spread over the picture: 1)
    "correlation",  # of the grey levels where the pictures overlap, -1 to 1
    "agreement",  # the same in the median of small blocks: words and stickers cannot outweigh it
    "keypoints",  # of the picture that has fewer
)

BLOCK_PX = 8  # an eighth of the longest side of what is compared
FAINT = 4.0  # grey levels: the standard deviation below which a block counts as blank

Doubles = npt.NDArray[np.float64]


class Comparison(NamedTuple):
    """``features`` float64 [10] in the order of FEATURES; ``alignment`` None if nothing agreed.

    ``mirror``: whether it is the mirrored left picture that lies on the right one.
    """

    features: Doubles
    alignment: Alignment | None
    mirror: bool


def compare(left: LocalFeatures, right: LocalFeatures) -> Comparison:
    """The better alignment of the left picture and of its mirror image with the right one."""
    keypoints = min(len(left), len(right))
    found = [(view, align(view, right)) for view in (left, mirrored(left))]
    view, alignment = max(found, key=lambda pair: _inliers(pair[1]))
    if alignment is None:
        nothing = np.array([0, 0, 0, 1, INLIER_PX, 0, 0, 0, 0, keypoints], np.float64)
        return Comparison(nothing, None, False)
    features = np.array([*_measures(view, right, alignment), keypoints], np.float64)
    return Comparison(features, alignment, view is not left)


def _inliers(alignment: Alignment | None) -> int:
    return 0 if alignment is None else int(alignment.inliers.sum())


def _measures(left: LocalFeatures, right: LocalFeatures, alignment: Alignment) -> list[float]:
    inliers, transform = alignment.inliers, alignment.transform
    here = left.points[alignment.left[inliers]].astype(np.float64)
    there = right.points[alignment.right[inliers]].astype(np.float64)
    long, short = np.linalg.svd(transform[:, :2], compute_uv=False)
    levels, covered, overlap = overlay(left, right, transform)
    seen = right.grey.astype(np.float64)
    return [
        float(inliers.sum()),
        float(inliers.mean()),
        float(abs(np.log(long * short) / 2)),
        float(long / short),
        float(np.sqrt(((apply(transform, here) - there) ** 2).sum(axis=1).mean())),
        overlap,
        min(_spread(here, left), _spread(there, right)),
        _correlation(levels[covered], seen[covered]),
        _agreement(levels, seen, covered),
    ]


def _spread(points: Doubles, picture: LocalFeatures) -> float:
    """An even spread over a rectangle has a covariance of sides^2 / 12 on the diagonal."""
    area = 12 * np.sqrt(max(float(np.linalg.det(np.cov(points.T))), 0.0))
    return float(area / (picture.width * picture.height))


def _correlation(left: Doubles, right: Doubles) -> float:
    if len(left) < 2 or left.std() == 0 or right.std() == 0:
        return 0.0
    return float(np.corrcoef(left, right)[0, 1])


def _agreement(left: Doubles, right: Doubles, covered: npt.NDArray[np.bool_]) -> float:
    """The median correlation of blocks that are mostly covered and not blank in both pictures."""
    weight = _blocks(covered).astype(np.float64)
    mostly = weight.mean(axis=1) >= 0.5
    weight = weight[mostly] / weight[mostly].sum(axis=1, keepdims=True)
    sides = [_blocks(levels)[mostly] for levels in (left, right)]
    here, there = (side - (weight * side).sum(axis=1, keepdims=True) for side in sides)
    here_var, there_var = (weight * here**2).sum(axis=1), (weight * there**2).sum(axis=1)
    product = (weight * here * there).sum(axis=1)
    textured = np.maximum(here_var, there_var) >= FAINT**2
    if not textured.any():
        return 0.0
    # A block that is blank in one picture alone disagrees: the floor keeps noise from counting.
    spread = np.sqrt(np.maximum(here_var * there_var, FAINT**4 / 16))
    return float(np.median((product / spread)[textured]))


def _blocks(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Squares of BLOCK_PX cut from [h, w]: [blocks, BLOCK_PX^2]; what is left over is dropped."""
    down, across = (side // BLOCK_PX for side in pixels.shape)
    cut = pixels[: down * BLOCK_PX, : across * BLOCK_PX]
    squares = cut.reshape(down, BLOCK_PX, across, BLOCK_PX).swapaxes(1, 2)
    return squares.reshape(down * across, BLOCK_PX**2)
