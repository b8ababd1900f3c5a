"""What a picture looks like, in 192 bits: its coarse shapes and its colours.

An embedding says what is in a picture, and two photos of one meadow hold the same. ``looks`` are
taken from the pixels themselves (``models.pixels``) and tell such pairs apart. They judge pairs
that the signatures found, and are too weak to find any. Three words of 64 bits, each learned as
the hasher's (``models.hasher``): centred, whitened by what edits change, turned, signed.

``even`` and ``odd`` hold shapes, by horizontal frequency: mirroring keeps even coefficients and
turns the sign of odd ones. These are not centred, so a mirrored picture has every bit of ``odd``
the other way round, and the nearer of a picture and its mirror image costs nothing to find.
``colours`` holds colours.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neardup.models.pixels import EVEN, FEATURES, ODD, Features
from neardup.models.whitening import projection_of

WORD_BITS = 64
LOOKS_BYTES = 3 * WORD_BITS // 8

Looks = npt.NDArray[np.uint8]
Int64 = npt.NDArray[np.int64]

_ODD = slice(EVEN, EVEN + ODD)
_PARTS = (slice(0, EVEN), _ODD, slice(EVEN + ODD, FEATURES))


@dataclass(frozen=True, eq=False)
class LooksHasher:
    """``mean`` int16 [127] and ``projection`` int16 [127, 64]: each part's own rows, one word."""

    mean: Features
    projection: Features

    def sign(self, features: Features) -> Looks:
        """Looks uint8 [n, 24] of ``looks_features`` int16 [n, 127]; never all zero."""
        centred = features.astype(np.float64) - self.mean
        words = [centred[:, part] @ self.projection[part].astype(np.float64) for part in _PARTS]
        looks = np.packbits(np.concatenate(words, axis=1) > 0, axis=1)
        looks[~looks.any(axis=1), -1] = 1
        return looks

    def to_arrays(self) -> dict[str, Features]:
        """As they are stored; ``of`` is the inverse."""
        return {"looks_mean": self.mean, "looks_projection": self.projection}

    @classmethod
    def of(cls, mean: Features, projection: Features) -> "LooksHasher":
        """Raises ValueError for arrays of another shape or kind."""
        for array, shape in ((mean, (FEATURES,)), (projection, (FEATURES, WORD_BITS))):
            if array.shape != shape or array.dtype != np.int16:
                raise ValueError(f"looks of {array.dtype} {array.shape}, not int16 {shape}")
        return cls(mean, projection)


def learn_looks(
    originals: Features, edited: Features, source_index: Int64, seed: int
) -> LooksHasher:
    """Learn from the features of pictures, int16 [n, 127], and of edited copies [m, 127].

    ``source_index`` int64 [m]: the picture that each copy was made from.
    """
    mean = np.rint(originals.mean(axis=0)).astype(np.int16)
    mean[_ODD] = 0
    rng = np.random.default_rng(seed)
    pictures, copies = originals.astype(np.float64), edited.astype(np.float64)
    blocks = []
    for part in _PARTS:
        changes = (copies - pictures[source_index])[:, part]
        directions = -(-changes.shape[1] // 32) * 32
        own = (pictures - mean)[:, part]
        blocks.append(projection_of(changes, own, directions, WORD_BITS, rng))
    return LooksHasher(mean, np.concatenate(blocks).astype(np.int16))


def unlike(left: Looks, right: Looks) -> tuple[Int64, Int64]:
    """Differing bits of pairs of looks uint8 [n, 24]: shapes and colours, int64 [n] each.

    Shapes are those of the picture or of its mirror image, whichever is nearer.
    """
    words = np.bitwise_count(_words(left) ^ _words(right)).astype(np.int64)
    shapes = words[:, 0] + np.minimum(words[:, 1], WORD_BITS - words[:, 1])
    return shapes, words[:, 2]


def present(left: Looks, right: Looks) -> npt.NDArray[np.bool_]:
    """Which pairs of looks uint8 [n, 24] are of two pictures: all zero is none."""
    return np.asarray(left.any(axis=1) & right.any(axis=1))


def _words(looks: Looks) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(looks).view(np.uint64)
