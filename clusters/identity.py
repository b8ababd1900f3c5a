"""Clusters keep their ids through a recompute."""

import numpy as np
import numpy.typing as npt

from neardup.clusters.fold import FOUNDER_BITS

Ids = npt.NDArray[np.int64]


def keep_ids(old_ids: Ids, parts: Ids, generation: int) -> Ids:
    """Cluster ids, int64 [n], for the n pins of a new partition.

    ``old_ids`` int64 [n]: each pin's cluster before. ``parts`` int64 [n]: its new part, named by
    the ordinal of its founder (the part's oldest pin). A part takes the id of the old cluster that
    it shares most pins with; if several parts want one id, the one sharing most has it, and of
    equal ones the one with the older founder. The others get a new id of this generation, so an id
    that is gone never comes back.
    """
    if not len(parts):
        return np.empty(0, np.int64)
    pairs, shared = np.unique(np.stack([parts, old_ids], axis=1), axis=0, return_counts=True)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -shared))
    chosen: dict[int, int] = {}
    taken: set[int] = set()
    for part, old in pairs[order].tolist():
        if part not in chosen and old not in taken:
            chosen[part] = old
            taken.add(old)
    founders, inverse = np.unique(parts, return_inverse=True)
    ids = [
        chosen.get(founder, generation << FOUNDER_BITS | founder) for founder in founders.tolist()
    ]
    return np.array(ids, np.int64)[inverse]
