"""What people said, what follows from it, and contradictions in it, against union-find."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.clusters.components import components
from neardup.clusters.contradiction import Statement, contradiction
from neardup.clusters.overrides import Groups, Said, between, in_force, named_by, said_by


def said(text: str) -> list[Statement]:
    """Statements like ``A=B``, separated by commas."""
    pairs = [
        (part.replace("!", "").split("="), "!" not in part) for part in text.split(",") if part
    ]
    return [Statement(left, right, together) for (left, right), together in pairs]


@pytest.mark.parametrize(
    ("stands", "new", "proof"),
    [
        ("", "A=B", None),
        ("A=B", "A=B", None),
        ("A=B,B=C", "A!=C", "A = B, B = C, A != C"),
        ("A=B,A!=C", "C=B", "A = B, C = B, A != C"),
        ("A=B,B=C,C=D,A=D", "D!=A", "A = D, D != A"),
        ("A!=B,B!=C", "A=C", None),
        ("A!=B", "A!=B", None),
        ("A!=B", "B=A", "B = A, A != B"),
        ("", "A!=A", "A != A"),
        ("", "A=A", None),
    ],
)
def test_a_contradiction_is_shown_by_its_chain(stands: str, new: str, proof: str | None) -> None:
    found = contradiction(said(stands), said(new)[0])
    assert (None if found is None else ", ".join(map(str, found))) == proof


@settings(max_examples=80, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.booleans()), max_size=25))
def test_what_is_accepted_can_all_be_true(pairs: list[tuple[int, int, bool]]) -> None:
    stands: list[Statement] = []
    for left, right, together in pairs:
        new = Statement(str(left), str(right), together)
        proof = contradiction(stands, new)
        assert (proof is None) == can_all_be_true([*stands, new])
        if proof is None:
            stands.append(new)
        else:
            assert new in proof and set(proof) <= {*stands, new}
            assert not can_all_be_true(proof)


def can_all_be_true(statements: list[Statement]) -> bool:
    joins = np.array([(int(s.left), int(s.right)) for s in statements if s.together], np.int64)
    labels = components(8, *joins.reshape(-1, 2).T.copy())
    return all(labels[int(s.left)] != labels[int(s.right)] for s in statements if not s.together)


NAMED = [
    {"kind": "link", "pin_id": "a", "other": "b"},
    {"kind": "unlink", "pin_id": "c", "other": "a"},
    {"kind": "move", "pin_id": "d", "other": "b", "left": "e"},
    {"kind": "block", "pin_id": "f"},
    {"kind": "link", "pin_id": "a", "other": "c"},
    {"kind": "forget", "pin_id": "a", "forgets": 4},
]
NOBODY = {"other": None, "left": None, "forgets": None}
ROWS: list[dict[str, Any]] = [{"sequence": i, **NOBODY, **row} for i, row in enumerate(NAMED)]


def test_what_rows_say() -> None:
    """Whatever their order: what is forgotten says nothing, a move also keeps apart."""
    for rows in (ROWS, ROWS[::-1]):
        assert said_by(rows) == Said([("a", "b"), ("d", "b")], [("c", "a"), ("d", "e")], ["f"])
    assert said_by(ROWS[:5]).together == [("a", "b"), ("d", "b"), ("a", "c")]
    assert [row["sequence"] for row in in_force(ROWS)] == [0, 1, 2, 3]
    assert named_by(ROWS, [2, 3]) == {"b", "d", "e", "f"}
    assert named_by(ROWS, [5]) == {"a", "c"}, "of a row that forgets, those of the forgotten"


def test_what_holds_between_live_pins() -> None:
    live = {"a": 7, "c": 3, "d": 5, "e": 2, "f": 9, "g": 1}  # b is not there, and ties a to d
    ruling = between(said_by(ROWS), live)
    assert ruling.together.tolist() == [[5, 7]]
    walls = {tuple(sorted(pair)) for pair in ruling.apart.tolist()}
    assert walls == {(3, 5), (3, 7), (2, 5), (2, 7)}, "the oldest and the newest of each group"
    assert ruling.blocked.tolist() == [9]
    nothing = between(said_by(ROWS), {})
    assert [len(part) for part in nothing] == [0, 0, 0]


@settings(max_examples=80, deadline=None)
@given(
    joins=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=10),
    parts=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=6),
    live=st.sets(st.integers(0, 7)),
)
def test_groups_are_components(
    joins: list[tuple[int, int]], parts: list[tuple[int, int]], live: set[int]
) -> None:
    """Whatever is said in whatever order, and in between only of the pins that are live."""
    pairs = np.array(joins, np.int64).reshape(-1, 2)
    labels = components(8, pairs[:, 0].copy(), pairs[:, 1].copy())
    groups = Groups(Said([], [], []))
    parts = [pair for pair in parts if labels[pair[0]] != labels[pair[1]]]  # others are refused
    walls = {frozenset(labels[list(pair)].tolist()) for pair in parts}
    steps = [(groups.join, pair) for pair in joins] + [(groups.part, pair) for pair in parts]
    for at in np.random.default_rng(len(joins)).permutation(len(steps)):
        step, (left, right) = steps[at]
        step(str(left), str(right))
    for pin in range(8):
        own = {str(other) for other in np.flatnonzero(labels == labels[pin])}
        assert set(groups.of(str(pin))) == own
        apart = {labels[int(group[0])] for group in groups.apart_from(str(pin))}
        assert apart == {
            label for label in set(labels.tolist()) if frozenset({labels[pin], label}) in walls
        }
    said = Said(
        [(str(one), str(other)) for one, other in joins],
        [(str(one), str(other)) for one, other in parts],
        [],
    )
    ruling = between(said, {str(pin): pin for pin in live})
    tied = components(8, ruling.together[:, 0].copy(), ruling.together[:, 1].copy())
    for one in live:
        for other in live:
            assert (tied[one] == tied[other]) == (labels[one] == labels[other])
    kept = {frozenset(labels[pair].tolist()) for pair in ruling.apart}
    here = {labels[pin] for pin in live}
    assert kept == {wall for wall in walls if wall <= here}
