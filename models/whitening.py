"""Directions that edits change least: whitening, the leading ones, and turns of them."""

import numpy as np
import numpy.typing as npt

SHRINKAGE = 0.1

PROJECTION_LIMIT = 2**15 - 1

Doubles = npt.NDArray[np.float64]


def projection_of(
    changes: Doubles, pictures: Doubles, directions: int, bits: int, rng: np.random.Generator
) -> Doubles:
    """Columns whose signs are the bits, whole numbers up to 2^15: float64 [dim, bits].

    ``changes`` [m, dim]: what edits did to pictures; ``pictures`` [n, dim], centred. The leading
    ``directions`` of the whitened pictures are turned at random, ``bits`` / ``directions`` times.
    """
    white = _whitening(changes)
    found = _leading(pictures @ white, directions)
    projection = white @ found @ _rotations(directions, bits // directions, rng)
    largest = np.maximum(np.abs(projection).max(axis=0), 1e-300)  # nought if all pictures are one
    whole: Doubles = np.rint(projection / largest * PROJECTION_LIMIT)
    return whole


def _whitening(changes: Doubles) -> Doubles:
    """The symmetric inverse root of the changes' scatter, shrunk towards its mean eigenvalue."""
    scatter = changes.T @ changes / len(changes)
    values, vectors = np.linalg.eigh(scatter)
    shrunk = np.maximum(values, 0) + SHRINKAGE * values.mean()
    shrunk = np.maximum(shrunk, np.finfo(np.float64).tiny)  # nought if no copy differs
    root: Doubles = (vectors / np.sqrt(shrunk)) @ vectors.T
    return root


def _leading(whitened: Doubles, directions: int) -> Doubles:
    """The directions of most variance as columns, scaled by eigenvalue^-1/4: [dim, directions].

    If there are fewer, the rest are zero columns, and rotations spread what there is.
    """
    values, vectors = np.linalg.eigh(whitened.T @ whitened / len(whitened))
    kept = slice(None, -directions - 1, -1)
    values, vectors = values[kept], vectors[:, kept]
    scales = np.where(values > 1e-9 * values[0], np.maximum(values, 1e-300) ** -0.25, 0)
    scaled = vectors * scales
    missing = directions - scaled.shape[1]
    return np.pad(scaled, ((0, 0), (0, missing)))


def _rotations(size: int, count: int, rng: np.random.Generator) -> Doubles:
    """``count`` random rotations side by side, float64 [size, size * count]."""
    turns = []
    for _ in range(count):
        q, r = np.linalg.qr(rng.normal(size=(size, size)))
        turns.append(q * np.sign(np.diag(r)))  # the sign makes it uniform (Mezzadri 2007)
    return np.concatenate(turns, axis=1)
