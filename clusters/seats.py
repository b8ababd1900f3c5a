"""How a pin comes to a cluster and leaves it: compiled, on dense arrays.

Each change takes O(log n) beside a cluster of n. A merge costs what the smaller cluster holds, so a
pin is moved at most log2(n) times in its life. Whoever's standing changes is *touched*.
"""

import numba as nb
import numpy as np

from neardup.clusters.columns import FREED, FRESH, LAST, UNTOUCHED, Columns, Int64
from neardup.clusters.treap import NOBODY, everyone, insert, oldest, remove, unite


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def touch(c: Columns, ordinal: int) -> None:
    """Note that a pin's standing is about to change."""
    if c.touched[ordinal] == UNTOUCHED:
        slot = c.slot[ordinal]
        c.before[ordinal] = NOBODY if slot == NOBODY else c.cluster_id[slot]
        c.touched[ordinal] = c.state[LAST]
        c.state[LAST] = ordinal


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def start(c: Columns, ordinal: int, cluster_id: int) -> np.int64:
    """A cluster of this pin alone, which is in none; its slot."""
    slot = np.int64(take_slot(c, cluster_id))
    c.head[slot] = ordinal
    join(c, ordinal, slot)
    return slot


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def take_slot(c: Columns, cluster_id: int) -> np.int64:
    """An empty cluster. There are never more than pins, so there is room for it."""
    slot = np.int64(c.state[FREED])
    if slot != NOBODY:
        c.state[FREED] = c.root[slot]
    else:
        slot = np.int64(c.state[FRESH])
        c.state[FRESH] += 1
    c.root[slot], c.size[slot] = NOBODY, 0
    c.cluster_id[slot], c.walled[slot] = cluster_id, False
    return slot


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def free_slot(c: Columns, slot: int) -> None:
    c.root[slot] = c.state[FREED]
    c.state[FREED] = slot


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def join(c: Columns, ordinal: int, slot: int) -> None:
    """A pin that is in no cluster comes to one."""
    touch(c, ordinal)
    c.slot[ordinal] = slot
    c.root[slot] = insert(c.children, c.root[slot], ordinal)
    c.size[slot] += 1


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def leave(c: Columns, ordinal: int) -> None:
    """A live pin leaves its cluster; a lost head is replaced by the oldest member."""
    slot = c.slot[ordinal]
    touch(c, ordinal)
    c.root[slot] = remove(c.children, c.root[slot], ordinal)
    c.slot[ordinal] = NOBODY
    c.size[slot] -= 1
    if c.size[slot] == 0:
        free_slot(c, slot)
    elif c.head[slot] == ordinal:
        c.head[slot] = oldest(c.children, c.root[slot])
        touch(c, c.head[slot])


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def take_out(c: Columns, ordinal: int) -> None:
    """A live pin leaves its cluster for another one; the head of those who stay is touched too.

    So whoever asks what became of the cluster has a touched pin in it.
    """
    slot = c.slot[ordinal]
    leave(c, ordinal)
    if c.size[slot] > 0:
        touch(c, c.head[slot])


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def merge(c: Columns, one: int, other: int) -> None:
    """The larger cluster absorbs the smaller; of two equal ones, that with the lower id."""
    keep, gone = one, other
    if c.size[gone] > c.size[keep] or (
        c.size[gone] == c.size[keep] and c.cluster_id[gone] < c.cluster_id[keep]
    ):
        keep, gone = gone, keep
    for moved in everyone(c.children, c.root[gone], c.size[gone]):
        touch(c, moved)
        c.slot[moved] = keep
    c.root[keep] = unite(c.children, np.int64(c.root[keep]), np.int64(c.root[gone]))
    c.size[keep] += c.size[gone]
    c.walled[keep] |= c.walled[gone]
    free_slot(c, gone)


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def seat(c: Columns, ordinals: Int64, slots: Int64, ids: Int64, heads: Int64) -> None:
    """Pins that are nowhere yet come to the clusters ``slots`` int64 [n]; nobody is touched.

    ``ids`` and ``heads`` int64 [k]: of all clusters, which are numbered from 0.
    """
    for slot in range(len(ids)):
        take_slot(c, ids[slot])
        c.head[slot] = heads[slot]
    for i in range(len(ordinals)):
        slot = slots[i]
        c.slot[ordinals[i]] = slot
        c.root[slot] = insert(c.children, c.root[slot], ordinals[i])
        c.size[slot] += 1


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def take_touched(c: Columns) -> Int64:
    """The pins touched since the last call, ascending."""
    n, at = 0, c.state[LAST]
    while at != NOBODY:
        n, at = n + 1, np.int64(c.touched[at])
    ordinals = np.empty(n, np.int64)
    at = c.state[LAST]
    for i in range(n):
        ordinals[i] = at
        at = np.int64(c.touched[at])
        c.touched[ordinals[i]] = UNTOUCHED
    c.state[LAST] = NOBODY
    return np.sort(ordinals)
