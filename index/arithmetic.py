"""The chance of a match by arithmetic, for bits that differ independently of one another.

Links nearly do so. Unrelated pins do not: there ``index.curves`` counts.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr  # sum_{i<=k} C(n,i) p^i (1-p)^(n-i)

from neardup.index.terms import TAIL_BITS, TermPlan

Float64 = npt.NDArray[np.float64]


def match_chance(share: npt.ArrayLike, term_bits: int, flips: int, tail_flips: int) -> Float64:
    """P(match in a band) of a pair that differs in a ``share`` p of its bits (any shape):

    sum_{i<=flips} C(k,i) p^i (1-p)^(k-i) * sum_{j<=tail_flips} C(32,j) p^j (1-p)^(32-j)
    """
    p = np.asarray(share, np.float64)
    return np.asarray(bdtr(flips, term_bits, p) * bdtr(tail_flips, TAIL_BITS, p))


def recall(share: npt.ArrayLike, plan: TermPlan) -> Float64:
    """P(match in ``min_overlap`` bands or more); 1 - (1 - P)^bands for an overlap of one.

    It takes bands as independent, as they nearly are with far fewer bits a band than all.
    """
    chance = match_chance(share, plan.term_bits, plan.flips, plan.tail_flips)
    return np.asarray(1 - bdtr(plan.min_overlap - 1, plan.bands, chance))


def angle_share(cosine: npt.ArrayLike) -> Float64:
    """The share of differing sign bits of two vectors, arccos(cosine) / pi, for random hyperplanes.

    Charikar 2002, "Similarity estimation techniques from rounding algorithms", section 3.
    """
    return np.asarray(np.arccos(np.clip(np.asarray(cosine, np.float64), -1, 1)) / np.pi)
