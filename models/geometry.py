"""Do the keypoints of two pictures agree on how one was moved, scaled and stretched to the other?

A keypoint has a scale and a direction, so a single match already says where the whole picture goes:
every match is tried and the others vote (fast spatial matching; Philbin, Chum, Isard, Sivic and
Zisserman 2007). That is RANSAC with nothing left to chance. The best few votes are refined to an
affine map by least squares.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.models.local_features import LONGEST_PX, LocalFeatures, root_sift

RATIO = 0.85  # of the distances to the best and the second best descriptor
VOTE_PX, INLIER_PX = 0.08 * LONGEST_PX, 0.015 * LONGEST_PX
VOTE_SCALE, VOTE_ANGLE = np.log(1.6), np.radians(25)
REFINED = 5  # hypotheses
STRETCH, SCALE = 3.0, 10.0  # of what counts as a map at all

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


class Alignment(NamedTuple):
    """How the left picture lies on the right one.

    ``left``, ``right`` int64 [m]: matched keypoints; ``inliers`` bool [m]: those that ``transform``
    float64 [2, 3] (x, y, 1 of the left -> x, y of the right, pixels) maps within INLIER_PX.
    """

    left: Int64
    right: Int64
    inliers: Booleans
    transform: Doubles


def align(left: LocalFeatures, right: LocalFeatures) -> Alignment | None:
    """The alignment with the most inliers; None if no three matches agree on one."""
    matches = match(root_sift(left.descriptors), root_sift(right.descriptors))
    a: Doubles = left.points[matches[0]].astype(np.float64)
    b: Doubles = right.points[matches[1]].astype(np.float64)
    best: Alignment | None = None
    for voters in _votes(left, right, *matches):
        transform, inliers = _refine(a, b, voters)
        if transform is None or (best is not None and inliers.sum() <= best.inliers.sum()):
            continue
        best = Alignment(*matches, inliers, transform)
    return best


def match(left: Floats, right: Floats) -> tuple[Int64, Int64]:
    """Descriptors that are each other's nearest, and clearly nearer than the second, both ways.

    ``left`` [m, 128], ``right`` [n, 128], of length 1. Returns indices int64 into both.
    """
    if len(left) < 2 or len(right) < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    likeness = left @ right.T
    nearest = likeness.argmax(axis=1)
    i = np.flatnonzero(likeness.argmax(axis=0)[nearest] == np.arange(len(left)))
    j = nearest[i]
    # the squared distance of descriptors of length 1 is 2 - 2 * likeness
    best = 2 - 2 * likeness[i, j]
    across, down = likeness[i], likeness[:, j].T
    across[np.arange(len(i)), j] = down[np.arange(len(i)), i] = -1
    second = 2 - 2 * np.maximum(across.max(axis=1, initial=-1), down.max(axis=1, initial=-1))
    clear = best <= RATIO**2 * second
    return i[clear], j[clear]


def _votes(left: LocalFeatures, right: LocalFeatures, i: Int64, j: Int64) -> list[Booleans]:
    """For the REFINED matches that most others agree with, which ones do: bool [m] each."""
    if len(i) < 3:
        return []
    scale = np.log(right.scales[j] / left.scales[i]).astype(np.float64)
    angle = (right.angles[j] - left.angles[i]).astype(np.float64)
    turn = np.exp(scale + 1j * angle)  # a similarity is one complex product and one sum
    a, b = _complex(left.points[i]), _complex(right.points[j])
    moved = turn[:, None] * (a[None, :] - a[:, None]) + b[:, None]
    agree = np.abs(moved - b[None, :]) < VOTE_PX
    agree &= np.abs(scale[:, None] - scale[None, :]) < VOTE_SCALE
    agree &= np.abs(np.angle(turn[:, None] * turn[None, :].conj())) < VOTE_ANGLE
    order = np.argsort(-agree.sum(axis=1), kind="stable")
    chosen: list[Booleans] = []
    for row in order[:50]:
        if len(chosen) == REFINED or agree[row].sum() < 3:
            break
        if not any((agree[row] == other).all() for other in chosen):
            chosen.append(agree[row])
    return chosen


def _refine(a: Doubles, b: Doubles, voters: Booleans) -> tuple[Doubles | None, Booleans]:
    """Least squares on those that agree, from generous to strict."""
    transform, inliers = None, voters
    for tolerance in (VOTE_PX / 2, INLIER_PX * 2, INLIER_PX, INLIER_PX):
        if inliers.sum() < 3:
            return None, inliers
        transform = fit(a[inliers], b[inliers])
        if not _possible(transform):
            return None, inliers
        inliers = np.hypot(*(apply(transform, a) - b).T) < tolerance
    return (transform, inliers) if inliers.sum() >= 3 else (None, inliers)


def _possible(transform: Doubles) -> bool:
    """Whether people may have done that to a picture; a few wrong matches may ask for anything."""
    long, short = np.linalg.svd(transform[:, :2], compute_uv=False)
    upright = np.linalg.det(transform[:, :2]) > 0
    return bool(upright and long <= STRETCH * short and short >= 1 / SCALE and long <= SCALE)


def fit(a: Doubles, b: Doubles) -> Doubles:
    """The affine map float64 [2, 3] that takes points ``a`` [n, 2] nearest to ``b``.

    A similarity (4 numbers) instead of 6 where fewer than 6 points are given.
    """
    if len(a) >= 6:
        design = np.column_stack([a, np.ones(len(a))])
        solution: Doubles = np.linalg.lstsq(design, b, rcond=None)[0].T.astype(np.float64)
        return solution
    p, q = _complex(a), _complex(b)
    centred = p - p.mean()
    turn = np.vdot(centred, q - q.mean()) / max(np.vdot(centred, centred).real, 1e-9)
    shift = q.mean() - turn * p.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def apply(transform: Doubles, points: npt.NDArray[np.floating]) -> Doubles:
    """Points float [n, 2] mapped by ``transform`` [2, 3]."""
    mapped: Doubles = points @ transform[:, :2].T + transform[:, 2]
    return mapped


def overlay(
    left: LocalFeatures, right: LocalFeatures, transform: Doubles
) -> tuple[Doubles, Booleans, float]:
    """The grey levels of the left picture laid on the right one's, where it covers that one.

    Returns float64 and bool of the shape of ``right.grey``, and the overlap as a share of the
    smaller picture, 0 to 1.
    """
    inverse = np.linalg.inv(np.vstack([transform, [0, 0, 1]]))[:2]
    height, width = right.grey.shape
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    there = np.stack([x.ravel() * right.width, y.ravel() * right.height], axis=1)
    here = apply(inverse, there) / (left.width, left.height)
    covered = ((here >= 0) & (here < 1)).all(axis=1)
    share = float(covered.mean())
    area = abs(float(np.linalg.det(transform[:, :2]))) * left.width * left.height
    overlap = min(1.0, share * max(1.0, right.width * right.height / max(area, 1e-9)))
    levels = _between(left.grey, here)
    return levels.reshape(height, width), covered.reshape(height, width), overlap


def _between(grey: npt.NDArray[np.uint8], places: Doubles) -> Doubles:
    """Levels at ``places`` [n, 2], 0 to 1 of width and height, from the four nearest pixels."""
    height, width = grey.shape
    x = (places[:, 0] * width - 0.5).clip(0, width - 1)
    y = (places[:, 1] * height - 0.5).clip(0, height - 1)
    left, top = x.astype(np.int64), y.astype(np.int64)
    right, low = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = x - left, y - top
    above = grey[top, left] * (1 - across) + grey[top, right] * across
    below = grey[low, left] * (1 - across) + grey[low, right] * across
    levels: Doubles = above * (1 - down) + below * down
    return levels


def _complex(points: npt.NDArray[np.floating]) -> npt.NDArray[np.complex128]:
    values: npt.NDArray[np.complex128] = points[:, 0] + 1j * points[:, 1]
    return values.astype(np.complex128)
