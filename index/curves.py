"""What plans find and what they read, counted on a sample for very many plans at once.

The bits of real signatures are neither balanced nor independent, so arithmetic is wrong by tens of
times for unrelated pins. Here pairs are counted, on the very positions that a plan samples. Terms
of k bits are prefixes of longer ones, so one pass over (pair, band) serves every k: it keeps, per k
and number of term flips, a pair's least and second least tail distance among the bands. Histograms
of the two hold every limit of tail flips, for an overlap of one and of two.

A link is its XOR pattern: the words of ``a ^ b`` are those of a xor those of b.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from neardup.index.arithmetic import match_chance
from neardup.index.intrinsics import popcount
from neardup.index.terms import MAX_TERM_BITS, TAIL_BITS, TermPlan

Int32 = npt.NDArray[np.int32]
UInt64 = npt.NDArray[np.uint64]
Float64 = npt.NDArray[np.float64]

TERM_BITS = range(12, MAX_TERM_BITS + 1)
OVERLAPS = (1, 2)

_BEYOND_SHORTEST = np.uint64(TAIL_BITS + TERM_BITS[-1] - TERM_BITS[0])
_NONE = TAIL_BITS + 1  # the tail distance of a pair that has no (second) match


class Shares(NamedTuple):
    """Float64, by k - 12 and term flips f, and by overlap - 1 and the limit t of tail flips.

    ``matches`` [13, 2]: bands that match in their term, per pair. ``found`` [2, 13, 2, 33]: the
    share of pairs that match in so many bands, axes overlap, k, f, t.
    """

    matches: Float64
    found: Float64


class Pairs(NamedTuple):
    """Pairs by row number, int32 [p]; ``weights`` float64 [p]."""

    left: Int32
    right: Int32
    weights: Float64


@dataclass(frozen=True, eq=False)
class Curve:
    """``bands`` bands of a seed: unrelated pairs, such pairs within the radius, and links.

    ``error``: the relative standard error of ``random``, from its spread over groups of pairs.
    """

    bands: int
    seed: int
    random: Shares
    near: Shares
    links: Shares
    error: Shares


def longest(bands: int, seed: int) -> TermPlan:
    """The plan whose words hold, as prefixes, those of every k."""
    return TermPlan(bands=bands, term_bits=TERM_BITS[-1], seed=seed)


def shares(left: UInt64, right: UInt64, pairs: Pairs) -> Shares:
    """Counted over ``pairs`` of rows of ``left`` and ``right``, words uint64 [n, L] of ``longest``.

    All zero if there are none.
    """
    counts = np.zeros((3, len(TERM_BITS), 2, TAIL_BITS + 2), np.float64)
    _tally(left, right, pairs.left, pairs.right, pairs.weights, counts)
    counts /= max(pairs.weights.sum(), 1e-300)
    return Shares(counts[0].sum(axis=-1), np.cumsum(counts[1:], axis=-1)[..., :-1])


def mean_and_error(parts: list[Shares]) -> tuple[Shares, Shares]:
    """The mean of equally large groups, and its relative standard error (0 where nothing was)."""
    means, errors = [], []
    for column in zip(*parts, strict=True):
        mean = np.mean(column, axis=0)
        error = np.std(column, axis=0, ddof=1) / len(parts) ** 0.5
        means.append(mean)
        errors.append(error / np.where(mean > 0, mean, 1))
    return Shares(*means), Shares(*errors)


def at_least_ideal(counted: Shares, bands: int) -> Shares:
    """No fewer than balanced, independent bits give: what is rare in a sample is not impossible."""
    chance = np.array(
        [
            [[match_chance(0.5, k, f, t) for t in range(TAIL_BITS + 1)] for f in (0, 1)]
            for k in TERM_BITS
        ]
    )
    some = -np.expm1(bands * np.log1p(-chance))
    found = np.stack([some, np.zeros_like(some)])
    return Shares(
        np.maximum(counted.matches, bands * chance[:, :, -1]), np.maximum(counted.found, found)
    )


@numba.njit(cache=True, nogil=True)
def _tally(left, right, rows, others, weights, counts):  # type: ignore[no-untyped-def]
    """Weighted histograms of tail distances: of all matches, of a pair's least, second least."""
    bands = left.shape[1]
    near = np.empty(bands + 1, np.int64)
    least = np.full(counts[1:, :, :, 0].shape, _NONE, np.int64)
    for p in range(len(rows)):
        a, b = left[rows[p]], right[others[p]]
        deepest = 0
        for at in range(_near_bands(a, b, near)):
            differing = a[near[at]] ^ b[near[at]]
            deepest = max(deepest, _tails(differing, weights[p], counts[0], least))
        for i in range(deepest):
            for flips in range(2):
                counts[1, i, flips, least[0, i, flips]] += weights[p]
                counts[2, i, flips, least[1, i, flips]] += weights[p]
                least[:, i, flips] = _NONE


@numba.njit(cache=True, nogil=True, inline="always")
def _near_bands(a, b, near):  # type: ignore[no-untyped-def]
    """The bands in which at most one bit of the shortest term differs; how many. No branches."""
    count = 0
    for band in range(len(a)):
        term = (a[band] ^ b[band]) >> _BEYOND_SHORTEST
        near[count] = band
        count += term & (term - np.uint64(1)) == 0
    return count


@numba.njit(cache=True, nogil=True, inline="always")
def _tails(differing, weight, matches, least):  # type: ignore[no-untyped-def]
    """Count the tail distance for each k whose term matches; for how many k it does."""
    for i in range(len(matches)):
        word = differing >> np.uint64(len(matches) - 1 - i)
        term = word >> np.uint64(TAIL_BITS)
        if term & (term - np.uint64(1)):
            return i
        tail = np.int64(popcount(word & np.uint64(0xFFFFFFFF)))
        for flips in range(np.int64(term != 0), 2):
            matches[i, flips, tail] += weight
            if tail < least[0, i, flips]:
                least[1, i, flips] = least[0, i, flips]
                least[0, i, flips] = tail
            elif tail < least[1, i, flips]:
                least[1, i, flips] = tail
    return len(matches)
