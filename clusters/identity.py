"""Clusters keep their ids through a recompute, and what became of each is written down."""

from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from neardup.clusters.ascending import among
from neardup.clusters.fold import FOUNDER_BITS, NOBODY

Ids = npt.NDArray[np.int64]


class History(NamedTuple):
    """What became of clusters: ``shared`` pins of cluster ``old`` are now in ``new``; int64 [m].

    ``share``: of the old cluster's pins, float64. Only of clusters that changed: an old one whose
    pins are in several or under another id, and one that took in pins of others.
    """

    old: Ids
    new: Ids
    shared: Ids
    share: npt.NDArray[np.float64]


def keep_ids(old_ids: Ids, parts: Ids, generation: int) -> Ids:
    """Cluster ids, int64 [n], for the n pins of a new partition.

    ``old_ids`` int64 [n]: each pin's cluster before. ``parts`` int64 [n]: its new part, named by
    the ordinal of its founder (the part's oldest pin). A part takes the id of the old cluster that
    it shares most pins with; if several parts want one id, the one sharing most has it, and of
    equal ones the one with the older founder. The others get a new id of this generation, so an id
    that is gone never comes back.
    """
    founders, part = np.unique(parts, return_inverse=True)
    names, old = np.unique(old_ids, return_inverse=True)
    pairs, shared = np.unique(part * len(names) + old, return_counts=True)
    pairs = pairs[np.argsort(-shared, kind="stable")]  # of equal ones the lower part, then id
    chosen = _chosen(len(founders), len(names), pairs)
    new = (generation << FOUNDER_BITS) | founders
    ids: Ids = np.where(chosen < 0, new, np.append(names, 0)[chosen])[part]
    return ids


def kept_ids(old: Ids, ordinals: Ids, folded: Ids, generation: int) -> Ids:
    """As ``keep_ids``, int64 [n], where nobody knows the cluster before of some pins (NOBODY).

    ``ordinals`` int64 [n], ascending, are the pins; ``folded`` names their new clusters. One that
    holds none whose cluster before is known has a new id.
    """
    _, oldest, cluster = np.unique(folded, return_index=True, return_inverse=True)
    ids: Ids = generation << FOUNDER_BITS | ordinals[oldest]
    known = np.flatnonzero(old != NOBODY)
    if len(known):
        ids[cluster[known]] = keep_ids(old[known], ordinals[oldest][cluster[known]], generation)
    return ids[cluster]


def history(old_ids: Ids, new_ids: Ids) -> History:
    """What a recompute made of the clusters of n pins, int64 [n] each; by old id, then new."""
    differ = old_ids != new_ids
    names = np.union1d(old_ids[differ], new_ids[differ])
    concerned = among(names, old_ids)  # the others are as they were
    return _history(old_ids[concerned], new_ids[concerned])


def _history(old_ids: Ids, new_ids: Ids) -> History:
    names, old, sizes = np.unique(old_ids, return_inverse=True, return_counts=True)
    others, new = np.unique(new_ids, return_inverse=True)
    pairs, shared = np.unique(old * max(len(others), 1) + new, return_counts=True)
    old, new = np.divmod(pairs, max(len(others), 1))
    alone = (np.bincount(old)[old] == 1) & (np.bincount(new)[new] == 1)
    changed = ~(alone & (names[old] == others[new]))
    old, new, shared = old[changed], new[changed], shared[changed]
    return History(names[old], others[new], shared, shared / sizes[old])


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _chosen(parts: int, names: int, pairs: Ids) -> Ids:
    """For each part the old id it keeps, by number, or -1; ``pairs`` in the order of claims."""
    chosen, taken = np.full(parts, -1), np.zeros(names, np.bool_)
    for pair in pairs:
        part, name = pair // names, pair % names
        if chosen[part] < 0 and not taken[name]:
            chosen[part] = name
            taken[name] = True
    return chosen
