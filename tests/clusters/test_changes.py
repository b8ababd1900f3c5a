"""Changes of membership against a comparison of dictionaries; seeds are hypothesis's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neardup.clusters.changes import HEAD_CHANGED, JOINED, LEFT, MERGED, MOVED, UNKNOWN, Standings
from neardup.clusters.fold import NOBODY

PINS = 8
World = dict[int, int]  # pin -> cluster; the head is its least member unless said otherwise


def stepped(
    standings: Standings, world: World, heads: dict[int, int]
) -> dict[int, tuple[int, int]]:
    """All pins in one step: pin -> (kind, cluster before) of those that changed."""
    ordinals = np.arange(PINS)
    clusters = np.array([world.get(pin, NOBODY) for pin in range(PINS)])
    of_pin = np.array([heads[world[pin]] if pin in world else NOBODY for pin in range(PINS)])
    moves = standings.step(ordinals, clusters, of_pin)
    return {
        row: (kind, before)
        for row, kind, before in zip(*(column.tolist() for column in moves), strict=True)
    }


worlds = st.dictionaries(st.integers(0, PINS - 1), st.integers(0, 3))


def heads_of(world: World, choice: int) -> dict[int, int]:
    members: dict[int, list[int]] = {}
    for pin in sorted(world):
        members.setdefault(world[pin], []).append(pin)
    return {cluster: own[choice % len(own)] for cluster, own in members.items()}


def kind_of(pin: int, before: World, after: World) -> int:
    if pin not in before:
        return JOINED
    if pin not in after:
        return LEFT
    if before[pin] == after[pin]:
        return HEAD_CHANGED
    former = [after[other] for other in before if before[other] == before[pin] and other in after]
    gone = before[pin] not in after.values() and len(set(former)) == 1
    return MERGED if gone else MOVED


@given(st.lists(st.tuples(worlds, st.integers(0, 2)), min_size=2, max_size=5))
def test_as_two_dictionaries_compare(moments: list[tuple[World, int]]) -> None:
    standings, before, were = Standings(), {}, {}
    for world, choice in moments:
        heads = heads_of(world, choice)
        found = stepped(standings, world, heads)
        expected = {
            pin: (kind_of(pin, before, world), before.get(pin, NOBODY))
            for pin in range(PINS)
            if before.get(pin) != world.get(pin)
            or (pin in world and heads[world[pin]] == pin and were.get(before.get(pin)) != pin)
        }
        assert found == expected
        assert standings.live().tolist() == sorted(world)
        before, were = world, heads


def test_a_new_version_stands_where_its_pin_stood() -> None:
    standings = Standings()
    standings.step(np.array([0, 1]), np.array([7, 7]), np.array([0, 0]))
    standings.succeed(np.array([0, 2]), np.array([2, 3]))
    assert standings.live().tolist() == [1, 3]
    moves = standings.step(np.array([1, 3]), np.array([7, 9]), np.array([1, 3]))
    assert moves.kinds.tolist() == [HEAD_CHANGED, MOVED] and moves.previous.tolist() == [7, 7]


def test_of_a_pin_whose_standing_is_forgotten_no_former_cluster_is_told() -> None:
    standings = Standings()
    standings.forget(np.array([0, 1]))
    moves = standings.step(np.array([0, 1]), np.array([7, NOBODY]), np.array([0, NOBODY]))
    assert UNKNOWN != NOBODY
    assert moves.kinds.tolist() == [MOVED, LEFT] and moves.previous.tolist() == [NOBODY, NOBODY]
