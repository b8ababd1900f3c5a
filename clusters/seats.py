"""How a pin comes to a cluster and leaves it: compiled, on dense arrays.

Each change takes O(log n) beside a cluster of n. A merge costs what the smaller cluster holds, so a
pin is moved at most log2(n) times in its life. Whoever's standing changes is *touched*.
"""

import numba as nb
import numpy as np

from neardup.clusters.columns import UNTOUCHED, Columns, Int32, Int64
from neardup.clusters.treap import NOBODY, everyone, insert, oldest, remove, unite


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def touch(c: Columns, last: Int64, ordinal: int) -> None:
    """Note that a pin's standing changed; ``last`` int64 [1] is the pin noted before."""
    if c.touched[ordinal] == UNTOUCHED:
        c.touched[ordinal] = last[0]
        last[0] = ordinal


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def start(c: Columns, last: Int64, ordinal: int, cluster_id: int) -> None:
    """A cluster of this pin alone."""
    c.slot[ordinal] = c.head[ordinal] = ordinal
    c.root[ordinal] = insert(c.children, NOBODY, ordinal)
    c.size[ordinal], c.cluster_id[ordinal] = 1, cluster_id
    touch(c, last, ordinal)


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def leave(c: Columns, last: Int64, ordinal: int) -> None:
    """A live pin ends; a lost head is replaced by the oldest member."""
    slot = c.slot[ordinal]
    c.root[slot] = remove(c.children, c.root[slot], ordinal)
    c.slot[ordinal] = NOBODY
    c.size[slot] -= 1
    touch(c, last, ordinal)
    if c.size[slot] and c.head[slot] == ordinal:
        c.head[slot] = oldest(c.children, c.root[slot])
        touch(c, last, c.head[slot])


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def join(c: Columns, last: Int64, ordinal: int, slot: int) -> None:
    """A pin that is in no cluster comes to one."""
    c.slot[ordinal] = slot
    c.root[slot] = insert(c.children, c.root[slot], ordinal)
    c.size[slot] += 1
    touch(c, last, ordinal)


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def merge(c: Columns, last: Int64, one: int, other: int) -> None:
    """The larger cluster absorbs the smaller; of two equal ones, that with the lower id."""
    keep, gone = one, other
    if c.size[gone] > c.size[keep] or (
        c.size[gone] == c.size[keep] and c.cluster_id[gone] < c.cluster_id[keep]
    ):
        keep, gone = gone, keep
    for moved in everyone(c.children, c.root[gone], c.size[gone]):
        c.slot[moved] = keep
        touch(c, last, moved)
    c.root[keep] = unite(c.children, np.int64(c.root[keep]), np.int64(c.root[gone]))
    c.size[keep] += c.size[gone]
    c.walled[keep] |= c.walled[gone]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def seat(c: Columns, ordinals: Int64, ids: Int64, heads: Int64, slots: Int64) -> None:
    """Pins that are nowhere yet, with the clusters that they are in; nobody is touched.

    ``slots[i]``: one of the members of the cluster of ``ordinals[i]``, the same for all of them.
    """
    for slot in slots:
        c.root[slot], c.size[slot] = NOBODY, 0
    for i in range(len(ordinals)):
        slot = slots[i]
        c.slot[ordinals[i]] = slot
        c.root[slot] = insert(c.children, c.root[slot], ordinals[i])
        c.size[slot] += 1
        c.cluster_id[slot], c.head[slot] = ids[i], heads[i]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def take_touched(touched: Int32, last: Int64) -> Int64:
    """The pins touched since the last call, ascending."""
    n, at = 0, last[0]
    while at != NOBODY:
        n, at = n + 1, touched[at]
    ordinals = np.empty(n, np.int64)
    at = last[0]
    for i in range(n):
        ordinals[i] = at
        at = touched[at]
        touched[ordinals[i]] = UNTOUCHED
    last[0] = NOBODY
    return np.sort(ordinals)
