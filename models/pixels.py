"""What looks are made from: coarse shapes and colours of a picture's pixels, as whole numbers.

Shapes: the 64 lowest frequencies of the grey picture, 64 pixels a side (DCT-II, as in pHash; Zauner
2010), over the spread of its greys. Colours: how many pixels are of which of 64. All is exact, or
rounded once: the same numbers on every machine.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

from neardup.models.embed import squash

SIDE = 64  # pixels
FREQUENCIES = 8
EVEN, ODD, COLOURS = 31, 32, 64  # by horizontal frequency; the mean grey, of none, is left out
FEATURES = EVEN + ODD + COLOURS

Features = npt.NDArray[np.int16]

_WHOLE = 2.0**7  # steps of a coefficient; the largest possible one, 91, stays below 2^15
_CALM = 4.0  # grey levels that a picture of one grey is taken to vary by


def _cosines() -> npt.NDArray[np.float64]:
    """Rows of the DCT-II (Ahmed, Natarajan, Rao 1974) in steps of 2^-16, float64 [8, 64]: whole."""
    at, frequency = np.arange(SIDE), np.arange(FREQUENCIES)[:, None]
    basis = np.cos(np.pi * (2 * at + 1) * frequency / (2 * SIDE)) * np.sqrt(2 / SIDE)
    whole: npt.NDArray[np.float64] = np.rint(basis * 2.0**16)
    return whole


_BASIS = _cosines()


def looks_features(image: Image.Image) -> Features:
    """Of an RGB picture int16 [127]: 31 coefficients that mirroring keeps, 32 whose sign it turns,
    and the square roots of the shares of 64 colours."""
    pixels = np.asarray(Image.fromarray(squash(image, SIDE)).convert("YCbCr")).astype(np.int64)
    grey = pixels[:, :, 0].astype(np.float64)
    found = (_BASIS @ grey @ _BASIS.T) * 2.0**-32 / (np.sqrt(grey.var()) + _CALM)
    even, odd = found[:, 0::2].ravel()[1:], found[:, 1::2].ravel()
    chroma = ((pixels[:, :, 1:] - 96) >> 4).clip(0, 3)  # most pictures keep near the greys, 128
    colour = 16 * (pixels[:, :, 0] >> 6) + 4 * chroma[:, :, 0] + chroma[:, :, 1]
    shares = np.sqrt(np.bincount(colour.ravel(), minlength=COLOURS))
    return np.rint(np.concatenate([even, odd, shares]) * _WHOLE).astype(np.int16)
