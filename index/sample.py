"""A sample of signatures and links, and the pairs of it that are counted.

Uniform over the indexed pins, a pair of the sample is as a query and an older pin. What is counted
is per pair, and so holds at any number of pins.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from neardup.index.curves import (
    Curve,
    Pairs,
    at_least_ideal,
    longest,
    mean_and_error,
    shares,
)
from neardup.index.hamming import pairs_within, pairs_within_batch

Signatures = npt.NDArray[np.uint8]
Float64 = npt.NDArray[np.float64]

GROUPS = 8
_BLOCK = 1024
_NEAR_ENOUGH = 65_536


@dataclass(frozen=True, eq=False)
class Sample:
    """Shuffled ``signatures`` uint8 [s, 128]; ``links`` uint8 [p, 128], each for ``weights`` [p].

    ``random``: unrelated pairs, in groups by the query. ``near``: pairs within ``radius`` bits that
    the sample happens to hold, ``within`` their share of all pairs.
    """

    signatures: Signatures
    links: Signatures
    weights: Float64
    radius: int
    random: tuple[Pairs, ...]
    near: Pairs
    within: float
    _curves: dict[tuple[int, int], Curve] = field(default_factory=dict, repr=False)

    def curve(self, bands: int, seed: int) -> Curve:
        """What ``bands`` bands find and read: counted at the first call, then remembered."""
        if (bands, seed) not in self._curves:
            self._curves[bands, seed] = _counted(self, bands, seed)
        return self._curves[bands, seed]


def draw(
    signatures: Signatures,
    links: Signatures,
    radius: int,
    weights: Float64 | None = None,
    pairs: int = 2**22,
    seed: int = 1,
) -> Sample:
    """The sample of signatures uint8 [s, 128] and links: XOR patterns uint8 [p, 128].

    ``weights`` float64 [p]: how many links each stands for (1 if not given). Links beyond
    ``radius`` do not count. ``pairs``: about how many unrelated pairs to count. Raises ValueError
    if there are fewer than two signatures, or no link.
    """
    if len(signatures) < 2:
        raise ValueError(f"{len(signatures)} signatures make no pair: give two at least")
    weights = np.ones(len(links)) if weights is None else weights
    near_enough = np.bitwise_count(links).sum(axis=1, dtype=np.int64) <= radius
    if not near_enough.any():
        raise ValueError(f"none of {len(links)} links is within {radius} bits: nothing to find")
    # neighbours may be copies of one picture, and would be paired too often
    shuffled = signatures[np.random.default_rng(seed).permutation(len(signatures))]
    near, within = _near(shuffled, radius)
    return Sample(
        signatures=shuffled,
        links=links[near_enough],
        weights=weights[near_enough],
        radius=radius,
        random=_random(len(shuffled), pairs),
        near=near,
        within=within,
    )


def _random(n: int, wanted: int) -> tuple[Pairs, ...]:
    """Each row with the next ones around the circle, as many for each; in groups of rows."""
    shifts = np.arange(1, max(min(wanted // n, (n - 1) // 2), 1) + 1)
    groups = []
    for rows in np.array_split(np.arange(n), min(GROUPS, n)):
        left = np.tile(rows, len(shifts))
        right = (left + np.repeat(shifts, len(rows))) % n
        groups.append(_pairs(left, right))
    return tuple(groups)


def _near(signatures: Signatures, radius: int) -> tuple[Pairs, float]:
    """Pairs within the radius, as many as are soon found, and their share of those compared."""
    left, right = [], []
    found = compared = 0
    for begin in range(0, len(signatures), _BLOCK):
        block = signatures[begin : begin + _BLOCK]
        before = pairs_within(block, signatures[:begin], radius)
        inside = pairs_within_batch(block, radius)
        left += [before.query + begin, inside.query + begin]
        right += [before.corpus, inside.corpus + begin]
        found += len(before.query) + len(inside.query)
        compared += len(block) * begin + len(block) * (len(block) - 1) // 2
        if found > _NEAR_ENOUGH:
            break
    return _pairs(np.concatenate(left), np.concatenate(right)), found / compared


def _pairs(left: npt.NDArray[np.integer[Any]], right: npt.NDArray[np.integer[Any]]) -> Pairs:
    return Pairs(left.astype(np.int32), right.astype(np.int32), np.ones(len(left)))


def _counted(sample: Sample, bands: int, seed: int) -> Curve:
    plan = longest(bands, seed)
    words = np.ascontiguousarray(plan.words(sample.signatures).T)
    patterns = np.ascontiguousarray(plan.words(sample.links).T)
    random, error = mean_and_error([shares(words, words, pairs) for pairs in sample.random])
    rows = np.arange(len(patterns), dtype=np.int32)
    links = Pairs(rows, np.zeros_like(rows), sample.weights)
    return Curve(
        bands=bands,
        seed=seed,
        random=at_least_ideal(random, bands),
        near=shares(words, words, sample.near),
        links=shares(patterns, np.zeros((1, bands), np.uint64), links),
        error=error,
    )
