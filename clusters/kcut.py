"""The nightly k-cut of one component: cut while a cut raises the summed evidence.

This is correlation clustering (Bansal, Blum, Chawla 2004), which is hard to approximate in
general and easy where clusters are clear. A few pins are solved exactly (``optimum``); for more, a
partition is improved until no move, joint or cut raises the sum (``climb``).

Sums are of whole numbers, so they are exact: no order of summation, processor or tolerance decides.
"""

import numpy as np
import numpy.typing as npt

from neardup.clusters.climb import climb
from neardup.clusters.components import components
from neardup.clusters.optimum import MOST, optimum

Weights = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def cut(weights: Weights) -> Labels:
    """Parts of a component: for each of its n pins the least index of its part, int64 [n].

    ``weights`` float64 [n, n]: evidence of every pair, symmetric; the diagonal is not read. Plus
    and minus infinity are what people said: together, apart; the former wins. Memory about
    5 n^2 int64; time O(n^2) a round, and O(m^3) for a part of m pins with negative evidence inside.
    """
    pairs = np.nonzero(np.isposinf(weights))
    if not len(pairs[0]):
        return _parts(whole_numbers(weights))
    # pins put together by people move as one
    names, group = np.unique(components(len(weights), *pairs), return_inverse=True)
    whole = np.zeros((len(names),) * 2, np.int64)
    np.add.at(whole, (group[:, None], group[None, :]), whole_numbers(weights))
    labels: Labels = names[_parts(whole)][group]
    return labels


def _parts(whole: Labels) -> Labels:
    parts: Labels = optimum(whole) if len(whole) <= MOST else climb(whole)
    return parts


def whole_numbers(weights: Weights) -> Labels:
    """Evidence in fixed point, int64 [n, n]; minus infinity outweighs all the rest together.

    The greatest finite weight gets 24 bits, fewer from 512 pins on, so that no sum overflows.
    """
    n = len(weights)
    finite = np.where(np.isfinite(weights), weights, 0.0)
    np.fill_diagonal(finite, 0.0)
    bits = min(24, 60 - 4 * n.bit_length())
    greatest = np.abs(finite).max(initial=0.0) or 1.0
    whole: Labels = np.rint(finite / greatest * 2.0**bits).astype(np.int64)
    whole[np.isneginf(weights)] = -int(np.abs(whole).sum()) - 1
    return whole


def objective(weights: Weights | Labels, labels: Labels) -> float:
    """Summed evidence of the pairs that share a label."""
    together = labels[:, None] == labels[None, :]
    return float(np.triu(np.where(together, weights, 0), 1).sum())


def medoid(weights: Weights, members: Labels) -> int:
    """The member with the most evidence towards the others; of equal ones the least index."""
    inside = weights[np.ix_(members, members)].copy()
    np.fill_diagonal(inside, 0.0)
    return int(members[np.argmax(inside.sum(axis=1))])
