"""The members of a cluster as a treap: a search tree by ordinal, a heap by the ordinal's hash.

What a cluster must answer without a walk over it: its oldest member (the leftmost node), the
``k`` members whose ordinals hash lowest (the top of the heap; a bottom-k sketch, Cohen 1997), and
all of them. Joining, leaving and splitting take O(log n) expected, uniting m members
with n takes O(m log(n/m)) (Seidel, Aragon 1996; Blelloch, Reid-Miller 1998). The shape is a
function of the set of members alone, so neither the order of arrival nor a restart changes it.

``children`` int32 [pins, 2] holds every treap of a fold: the lesser and the greater child of the
member with that ordinal. A treap is named by its root; NOBODY is the empty one.
"""

import numba as nb
import numpy as np
import numpy.typing as npt

Children = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

NOBODY = -1
LESSER, GREATER = 0, 1


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def rank(ordinal: int) -> np.uint64:
    """The hash uint64 of an ordinal: the finalizer of MurmurHash3, a bijection, so without ties."""
    x = np.uint64(ordinal)
    x = (x ^ (x >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    x = (x ^ (x >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return x ^ (x >> np.uint64(33))


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def insert(children: Children, root: int, node: int) -> np.int64:
    """The root after ``node``, which is in no treap, has joined."""
    own = rank(node)
    above, side, at = np.int64(NOBODY), LESSER, np.int64(root)
    while at != NOBODY and rank(at) < own:
        above, side = at, GREATER if node > at else LESSER
        at = np.int64(children[above, side])
    less, more = split(children, at, node)
    children[node, LESSER], children[node, GREATER] = less, more
    if above == NOBODY:
        return np.int64(node)
    children[above, side] = node
    return np.int64(root)


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def remove(children: Children, root: int, node: int) -> np.int64:
    """The root after ``node``, which is in this treap, has left."""
    above, side, at = np.int64(NOBODY), LESSER, np.int64(root)
    while at != node:
        above, side = at, GREATER if node > at else LESSER
        at = np.int64(children[above, side])
    rest = _join(children, children[node, LESSER], children[node, GREATER])
    if above == NOBODY:
        return np.int64(rest)
    children[above, side] = rest
    return np.int64(root)


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def split(children: Children, root: int, pivot: int) -> tuple[np.int64, np.int64]:
    """The treaps of the members below and above ``pivot``, which is not among them."""
    tops = np.full(2, NOBODY, np.int64)
    open_ends = np.full(2, NOBODY, np.int64)  # where the next piece of that side hangs
    at = np.int64(root)
    while at != NOBODY:
        side = GREATER if at > pivot else LESSER
        if open_ends[side] == NOBODY:
            tops[side] = at
        else:
            children[open_ends[side], 1 - side] = at
        open_ends[side] = at
        at = np.int64(children[at, 1 - side])
    for side in (LESSER, GREATER):
        if open_ends[side] != NOBODY:
            children[open_ends[side], 1 - side] = NOBODY
    return tops[LESSER], tops[GREATER]


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _join(children: Children, less: int, more: int) -> np.int64:
    """One treap of two, of which all of the one are below all of the other."""
    top, above, side = np.int64(NOBODY), np.int64(NOBODY), LESSER
    left, right = np.int64(less), np.int64(more)
    while left != NOBODY or right != NOBODY:
        from_left = right == NOBODY or (left != NOBODY and rank(left) < rank(right))
        at = left if from_left else right
        if above == NOBODY:
            top = at
        else:
            children[above, side] = at
        above, side = at, GREATER if from_left else LESSER
        if from_left:
            left = np.int64(children[at, GREATER])
        else:
            right = np.int64(children[at, LESSER])
    return top


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def unite(children: Children, one: int, other: int) -> np.int64:
    """One treap of two whose members may lie anywhere between each other's."""
    if one == NOBODY:
        return np.int64(other)
    if other == NOBODY:
        return np.int64(one)
    if rank(other) < rank(one):
        one, other = other, one
    less, more = split(children, other, one)
    children[one, LESSER] = unite(children, np.int64(children[one, LESSER]), less)
    children[one, GREATER] = unite(children, np.int64(children[one, GREATER]), more)
    return np.int64(one)


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def oldest(children: Children, root: int) -> np.int64:
    """The least ordinal of a treap that is not empty."""
    at = np.int64(root)
    while children[at, LESSER] != NOBODY:
        at = np.int64(children[at, LESSER])
    return at


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def lowest(children: Children, root: int, k: int) -> Int64:
    """The at most ``k`` members whose ordinals hash lowest, in that order: O(k log k)."""
    found, waiting = np.empty(k, np.int64), np.empty(k + 1, np.int64)  # waiting: a heap by rank
    ranks = np.empty(k + 1, np.uint64)
    n, m = 0, 0
    if root != NOBODY:
        waiting[0], ranks[0], m = root, rank(root), 1
    while m and n < k:
        found[n] = waiting[0]
        n, m = n + 1, m - 1
        _sift_down(waiting, ranks, m)
        for side in (LESSER, GREATER):
            child = np.int64(children[found[n - 1], side])
            if child != NOBODY:
                _sift_up(waiting, ranks, m, child)
                m += 1
    return found[:n]


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _sift_up(heap: Int64, ranks: npt.NDArray[np.uint64], at: int, node: int) -> None:
    """Put ``node`` at the end, position ``at``, and move it up to its place."""
    own = rank(node)
    while at > 0 and ranks[(at - 1) // 2] > own:
        heap[at], ranks[at] = heap[(at - 1) // 2], ranks[(at - 1) // 2]
        at = (at - 1) // 2
    heap[at], ranks[at] = node, own


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _sift_down(heap: Int64, ranks: npt.NDArray[np.uint64], size: int) -> None:
    """Fill the top with the last of ``size + 1``, and move that down to its place."""
    node, own, at = heap[size], ranks[size], 0
    while 2 * at + 1 < size:
        below = 2 * at + 1
        if below + 1 < size and ranks[below + 1] < ranks[below]:
            below += 1
        if ranks[below] > own:
            break
        heap[at], ranks[at] = heap[below], ranks[below]
        at = below
    heap[at], ranks[at] = node, own


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def everyone(children: Children, root: int, size: int) -> Int64:
    """All ``size`` members of a treap, by generation from the root downwards."""
    members = np.empty(size, np.int64)
    end = 0
    if root != NOBODY:
        members[0], end = root, 1
    for i in range(size):
        for side in (LESSER, GREATER):
            child = children[members[i], side]
            if child != NOBODY:
                members[end] = child
                end += 1
    return members
