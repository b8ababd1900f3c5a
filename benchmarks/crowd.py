"""Crowds of any size that behave like real pictures, and near-duplicates to plant in them.

A crowd is drawn from a mixture of Gaussians fitted to real embeddings: their 512 leading
directions, a component for each of 256 k-means clusters, its covariance shrunk towards the pooled
one (a cluster has 160 pictures, a covariance 512 rows). What is drawn is hashed as any embedding
is, so its bits are as skewed and as correlated as the hasher makes them; ``bit_statistics`` and
``random_distances`` tell how nearly.

A near-duplicate is a pin with some bits flipped: ``link_patterns`` are the differences of real
pairs, ``easy_patterns`` few random bits.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.cluster.vq import kmeans2

from neardup.index.hamming import distances, pairs_within_batch
from neardup.models.hasher import BITS, Hasher

Floats = npt.NDArray[np.float32]
Signatures = npt.NDArray[np.uint8]

DIRECTIONS = 512
COMPONENTS = 256
LEAST_SHRINKAGE = 0.2
EASY_SHARE = 0.12


@dataclass(frozen=True, eq=False)
class Mixture:
    """Gaussians in the space of the leading directions of embeddings.

    ``mean`` float32 [dim], ``directions`` float32 [dim, 512]; per component its share of the whole
    in ``weights`` float64 [K], ``centres`` float32 [K, 512], and ``factors`` float32 [K, 512, 512],
    the Cholesky factors of their covariances.
    """

    mean: Floats
    directions: Floats
    weights: npt.NDArray[np.float64]
    centres: Floats
    factors: Floats

    def embeddings(self, n: int, rng: np.random.Generator) -> Floats:
        """Independent draws float32 [n, dim]."""
        drawn: Floats = self._draw(n, rng) @ self.directions.T + self.mean
        return drawn

    def signatures(self, n: int, rng: np.random.Generator, hasher: Hasher) -> Signatures:
        """Signatures uint8 [n, 128] of draws; the same as signing them, but for rounding."""
        projection = self.directions.T @ hasher.projection
        return np.packbits(self._draw(n, rng) @ projection > 0, axis=1)

    def _draw(self, n: int, rng: np.random.Generator) -> Floats:
        out = np.empty((n, self.centres.shape[1]), np.float32)
        order = rng.permutation(n)
        begin = 0
        for component, count in enumerate(rng.multinomial(n, self.weights)):
            rows = order[begin : begin + count]
            normal = rng.standard_normal((count, out.shape[1]), np.float32)
            out[rows] = normal @ self.factors[component].T + self.centres[component]
            begin += count
        return out


def fit(
    embeddings: Floats,
    mean: Floats,
    seed: int,
    directions: int = DIRECTIONS,
    components: int = COMPONENTS,
) -> Mixture:
    """Fit to embeddings float32 [n, dim], centred on the hasher's ``mean``."""
    centred = embeddings - mean
    _, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    basis = np.ascontiguousarray(vectors[:, : -directions - 1 : -1], np.float32)
    rows = centred @ basis
    centres, labels = kmeans2(rows, components, iter=10, minit="points", seed=seed)
    within = rows - centres[labels]
    pooled = within.T @ within / len(rows)
    ridge = 1e-6 * np.trace(pooled) / directions * np.eye(directions)
    kept, factors = [], []
    for component in range(components):
        own = within[labels == component]
        if len(own):
            shrinkage = max(directions / (directions + len(own)), LEAST_SHRINKAGE)
            covariance = (1 - shrinkage) * (own.T @ own) / len(own) + shrinkage * pooled
            factors.append(np.linalg.cholesky(covariance + ridge).astype(np.float32))
            kept.append(component)
    counts = np.bincount(labels, minlength=components)[kept]
    return Mixture(
        mean, basis, counts / counts.sum(), centres[kept].astype(np.float32), np.stack(factors)
    )


def link_patterns(signatures: Signatures, groups: npt.NDArray[np.int64], radius: int) -> Signatures:
    """Differing bits uint8 [m, 128] of pairs of one group at most ``radius`` apart."""
    pairs = pairs_within_batch(signatures, radius)
    same = groups[pairs.query] == groups[pairs.corpus]
    differing: Signatures = signatures[pairs.query[same]] ^ signatures[pairs.corpus[same]]
    return differing


def easy_patterns(n: int, rng: np.random.Generator, most: float = EASY_SHARE) -> Signatures:
    """Random flips uint8 [n, 128]; the share of flipped bits is uniform in 0..``most``."""
    counts = rng.integers(0, int(most * BITS) + 1, n)
    ranks = rng.random((n, BITS)).argsort(axis=1)
    return np.packbits(ranks < counts[:, None], axis=1)


def plant(
    crowd: Signatures, patterns: Signatures, n: int, rng: np.random.Generator
) -> tuple[Signatures, npt.NDArray[np.int64]]:
    """``n`` near-duplicates uint8 [n, 128] of pins of the crowd, and of which, int64 [n]."""
    pins = rng.integers(0, len(crowd), n)
    return crowd[pins] ^ patterns[rng.integers(0, len(patterns), n)], pins


def random_distances(
    signatures: Signatures, n: int, rng: np.random.Generator
) -> npt.NDArray[np.int32]:
    """Hamming distances int32 [n] of random pairs of different pins."""
    left = rng.integers(0, len(signatures), n)
    right = (left + rng.integers(1, len(signatures), n)) % len(signatures)
    return distances(signatures[left], signatures[right])


def bit_statistics(signatures: Signatures) -> tuple[Floats, Floats]:
    """How far each bit's mean is from even, float32 [1024] in 0..1; correlations of bit pairs.

    The latter float32 [1024 * 1023 / 2], the upper triangle; 0 for bits that are constant.
    """
    bits = np.unpackbits(signatures, axis=1).astype(np.float32)
    imbalance = np.abs(2 * bits.mean(axis=0) - 1)
    bits -= bits.mean(axis=0)
    norms = np.sqrt((bits**2).sum(axis=0))
    bits /= np.where(norms > 0, norms, 1)
    above = np.triu_indices(BITS, 1)
    return imbalance, (bits.T @ bits)[above]
