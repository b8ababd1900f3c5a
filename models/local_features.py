"""What a picture looks like in some hundred places: SIFT keypoints and descriptors.

SIFT is Lowe's (2004), by OpenCV, which is loaded when the first picture is looked at and sees only
arrays: decoding stays with ``models/images.py``.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

LONGEST_PX = 320
KEYPOINTS = 300
CONTRAST = 0.01  # a quarter of Lowe's: smooth, dark and blurred pictures keep some keypoints
GREY_PX = 64

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class LocalFeatures:
    """Keypoints of a picture scaled to a longest side of LONGEST_PX, strongest first.

    ``points`` float32 [n, 2]: x, y in pixels of that size; ``scales`` float32 [n]: diameters in
    pixels; ``angles`` float32 [n]: radians, as y grows downward; ``descriptors`` uint8 [n, 128];
    ``width``, ``height`` of that size; ``grey`` uint8 [h, w], its longest side at most GREY_PX.
    """

    points: Floats
    scales: Floats
    angles: Floats
    descriptors: Bytes
    width: int
    height: int
    grey: Bytes

    def __len__(self) -> int:
        return len(self.points)


def local_features(image: Image.Image) -> LocalFeatures:
    """The KEYPOINTS strongest keypoints of a picture; none at all on a blank wall."""
    factor = LONGEST_PX / max(image.size)
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    grey = image.convert("L").resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    found, descriptors = _sift().detectAndCompute(np.asarray(grey), None)
    order = sorted(range(len(found)), key=lambda i: -found[i].response)[:KEYPOINTS]
    small = grey.copy()
    small.thumbnail((GREY_PX, GREY_PX))
    return LocalFeatures(
        points=np.array([found[i].pt for i in order], np.float32).reshape(-1, 2),
        scales=np.array([found[i].size for i in order], np.float32),
        angles=np.radians(np.array([found[i].angle for i in order], np.float32)),
        descriptors=_bytes(descriptors, order),
        width=size[0],
        height=size[1],
        grey=np.asarray(small),
    )


def mirrored(features: LocalFeatures) -> LocalFeatures:
    """The keypoints that the picture has in a mirror, without looking at it again.

    A descriptor is a histogram of 4 rows and 4 columns along the keypoint's direction, by 8
    directions. A mirror turns the rows about and the directions backward.
    """
    histograms = features.descriptors.reshape(-1, 4, 4, 8)[:, ::-1]
    backward = histograms[..., (8 - np.arange(8)) % 8].reshape(-1, 128)
    x, y = features.points.T
    return LocalFeatures(
        points=np.stack([features.width - 1 - x, y], axis=1),
        scales=features.scales,
        angles=(np.float32(np.pi) - features.angles) % np.float32(2 * np.pi),
        descriptors=np.ascontiguousarray(backward),
        width=features.width,
        height=features.height,
        grey=features.grey[:, ::-1],
    )


def root_sift(descriptors: Bytes) -> Floats:
    """Descriptors [n, 128] float32 whose dot product is the Hellinger similarity, 0 to 1.

    Arandjelovic and Zisserman 2012.
    """
    histograms = descriptors.astype(np.float32)
    roots: Floats = np.sqrt(histograms / np.maximum(histograms.sum(axis=1, keepdims=True), 1))
    return roots


def _bytes(descriptors: Any, order: list[int]) -> Bytes:
    if descriptors is None:
        return np.zeros((0, 128), np.uint8)
    values: Bytes = descriptors[order].astype(np.uint8)  # OpenCV gives whole numbers up to 255
    return values


@cache
def _sift() -> Any:
    import cv2

    cv2.setNumThreads(1)
    return cv2.SIFT.create(contrastThreshold=CONTRAST)
