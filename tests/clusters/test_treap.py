"""Treaps against sets."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.clusters.treap import NOBODY, everyone, insert, lowest, oldest, rank, remove, unite

ROOM = 64


def build(children: np.ndarray, members: list[int]) -> int:
    root = NOBODY
    for member in members:
        root = insert(children, root, member)
    return int(root)


def shape(children: np.ndarray, root: int) -> tuple:
    """Nested (lesser, ordinal, greater); checks the order of the tree and of the heap."""
    if root == NOBODY:
        return ()
    lesser, greater = (shape(children, int(child)) for child in children[root])
    assert not lesser or (lesser[1] < root and rank(lesser[1]) > rank(root))
    assert not greater or (greater[1] > root and rank(greater[1]) > rank(root))
    return (lesser, root, greater)


members_lists = st.lists(st.integers(0, ROOM - 1), unique=True)


@settings(max_examples=60, deadline=None)
@given(members=members_lists, leaving=st.sets(st.integers(0, ROOM - 1)), k=st.integers(1, 20))
def test_a_treap_is_a_function_of_its_members(
    members: list[int], leaving: set[int], k: int
) -> None:
    children = np.full((ROOM, 2), NOBODY, np.int32)
    root = build(children, members)
    for member in leaving & set(members):
        root = remove(children, root, member)
    rest = sorted(set(members) - leaving)
    assert sorted(everyone(children, root, len(rest))) == rest
    assert lowest(children, root, k).tolist() == sorted(rest, key=rank)[:k]
    if rest:
        assert oldest(children, root) == rest[0]
    again = np.full((ROOM, 2), NOBODY, np.int32)
    assert shape(children, root) == shape(again, build(again, rest))


@settings(max_examples=60, deadline=None)
@given(members=members_lists, cut=st.integers(0, ROOM))
def test_a_union_is_the_treap_of_all(members: list[int], cut: int) -> None:
    children, again = (np.full((ROOM, 2), NOBODY, np.int32) for _ in range(2))
    root = unite(children, build(children, members[:cut]), build(children, members[cut:]))
    assert shape(children, root) == shape(again, build(again, members))


def test_a_treap_of_ascending_ordinals_is_shallow() -> None:
    """Ordinals come in ascending order, and a hash must not be ordered along a stride of them."""
    for stride in (1, 610, 987, 1 << 10):
        children = np.full((stride * 2000, 2), NOBODY, np.int32)
        root = build(children, list(range(0, stride * 2000, stride)))
        depth, level = 0, [root]
        while level:
            depth += 1
            level = [int(c) for node in level for c in children[node] if c != NOBODY]
        assert depth < 45, f"depth {depth} of 2,000 members, stride {stride}"


def test_lowest_of_nobody() -> None:
    children = np.full((1, 2), NOBODY, np.int32)
    assert lowest(children, NOBODY, 16).tolist() == everyone(children, NOBODY, 0).tolist() == []
