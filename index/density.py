"""How dense the space of signatures is: what a plan has to tell apart, in a few numbers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neardup.index.curves import TERM_BITS
from neardup.index.hamming import distances
from neardup.index.sample import Sample

RANDOM_PERCENTILES = (0.01, 0.1, 1.0, 10.0, 50.0)
LINK_PERCENTILES = (10.0, 50.0, 90.0, 99.0)
SKEW_TERM_BITS = 16

_SKEW_BANDS = 128
_SOME = 2**17


@dataclass(frozen=True)
class Density:
    """Of bits, of unrelated pairs, of links.

    ``imbalance``: mean over the bits of |2 P(1) - 1|: 0 if as many are 1 as 0, 1 if constant.
    ``correlation``: root mean square over pairs of bits, less what chance gives a sample its size.
    ``skew``: how many times as often as ideal bits two unrelated pins share a term of 16 bits: the
    factor by which lists are longer. ``random`` and ``links``: differing bits at the percentiles
    above. ``within``: the share of unrelated pairs within the radius.
    """

    signatures: int
    pairs: int
    n_links: int
    imbalance: float
    correlation: float
    skew: float
    random: tuple[float, ...]
    links: tuple[float, ...]
    within: float


def describe(sample: Sample, seed: int = 2018) -> Density:
    """The density of a sample; ``seed`` of the bands whose terms are counted."""
    ones, correlation = _bits(sample.signatures)
    terms = sample.curve(_SKEW_BANDS, seed).random.matches[SKEW_TERM_BITS - TERM_BITS[0], 0]
    bits = np.bitwise_count(sample.links).sum(axis=1, dtype=np.int64)
    return Density(
        signatures=len(sample.signatures),
        pairs=sum(len(pairs.left) for pairs in sample.random),
        n_links=len(sample.links),
        imbalance=float(np.abs(2 * ones - 1).mean()),
        correlation=correlation,
        skew=float(terms / _SKEW_BANDS * 2**SKEW_TERM_BITS),
        random=tuple(np.percentile(_apart(sample), RANDOM_PERCENTILES).tolist()),
        links=_percentiles(bits, sample.weights),
        within=sample.within,
    )


def _bits(
    signatures: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.float64], float]:
    """P(1) of each bit float64 [1024], and the root mean square correlation of two of them."""
    bits = np.unpackbits(signatures, axis=1).astype(np.float32)
    ones = bits.mean(axis=0, dtype=np.float64)
    varying = (ones > 0) & (ones < 1)
    if varying.sum() < 2 or len(bits) < 3:
        return ones, 0.0
    standard = ((bits - ones) / np.where(varying, np.sqrt(ones * (1 - ones)), 1))[:, varying]
    r = standard.astype(np.float32).T @ standard.astype(np.float32) / len(bits)
    off = (np.square(r).sum() - np.square(np.diag(r)).sum()) / (len(r) * (len(r) - 1))
    return ones, float(max(off - 1 / (len(bits) - 1), 0) ** 0.5)


def _apart(sample: Sample) -> npt.NDArray[np.int32]:
    """Differing bits of some unrelated pairs."""
    parts = []
    for left, right, _ in sample.random:
        step = max(1, len(left) * len(sample.random) // _SOME)
        rows = sample.signatures[left[::step]], sample.signatures[right[::step]]
        parts.append(distances(*rows))
    return np.concatenate(parts)


def _percentiles(
    bits: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]
) -> tuple[float, ...]:
    """Weighted: the least distance that so many per cent of the links do not exceed."""
    order = np.argsort(bits, kind="stable")
    below = np.cumsum(weights[order])
    at = np.searchsorted(below, np.array(LINK_PERCENTILES) / 100 * below[-1])
    return tuple(bits[order][at.clip(max=len(bits) - 1)].tolist())
