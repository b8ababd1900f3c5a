"""What became of clusters in a batch of the stream, from the pins that it touched.

As ``identity.history`` says it of a recompute, but without a look at the pins that stayed where
they were: a cluster of a million that takes in one pin costs no more than one of two.
"""

import numpy as np
import numpy.typing as npt

from neardup.clusters.fold import Changes
from neardup.clusters.identity import History
from neardup.clusters.treap import NOBODY

Int64 = npt.NDArray[np.int64]


def became(changes: Changes) -> History:
    """Where pins of changed clusters are now; by old id, then new.

    ``share`` is of the pins that the old cluster had before, those included that have left since.
    """
    before, now = changes.before, changes.cluster_ids
    stayed = (before != NOBODY) & (now != NOBODY)
    if not (before[stayed] != now[stayed]).any():
        nothing = np.empty(0, np.int64)
        return History(nothing, nothing, nothing, np.empty(0))
    own, untouched = _untouched(changes)
    gone = before[(before != NOBODY) & (now == NOBODY)]
    old = np.concatenate([before[stayed], own, gone])
    new = np.concatenate([now[stayed], own, np.full(len(gone), NOBODY)])
    pins = np.concatenate(
        [np.ones(stayed.sum(), np.int64), untouched, np.ones(len(gone), np.int64)]
    )
    return _history(old, new, pins)


def _untouched(changes: Changes) -> tuple[Int64, Int64]:
    """Clusters where touched pins are now, and how many pins they hold that were not touched."""
    here = changes.cluster_ids != NOBODY
    ids, first, touched = np.unique(
        changes.cluster_ids[here], return_index=True, return_counts=True
    )
    untouched = changes.sizes[here][first] - touched
    return ids[untouched > 0], untouched[untouched > 0]


def _history(old: Int64, new: Int64, pins: Int64) -> History:
    """From counts of pins by (old id, new id), some pairs several times; new NOBODY: they left."""
    pairs, pair = np.unique(np.stack([old, new]), axis=1, return_inverse=True)
    shared = np.bincount(pair.ravel(), pins).astype(np.int64)
    old, new = pairs
    _, of_old = np.unique(old, return_inverse=True)
    share = shared / np.bincount(of_old, shared)[of_old]
    here = new != NOBODY
    old, new, shared, share = old[here], new[here], shared[here], share[here]
    alone = _is_single(old) & _is_single(new)
    changed = ~(alone & (old == new))
    return History(old[changed], new[changed], shared[changed], share[changed])


def _is_single(ids: Int64) -> npt.NDArray[np.bool_]:
    """Whether each value is there once."""
    _, which, counts = np.unique(ids, return_inverse=True, return_counts=True)
    single: npt.NDArray[np.bool_] = counts[which] == 1
    return single
