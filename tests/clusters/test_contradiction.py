"""Rows of ``overrides`` that cannot stand beside others, and the chain that proves it."""

from typing import Any

import pytest

from neardup.clusters.contradiction import refusal


def row(sequence: int, kind: str, *pins: str, left: str | None = None) -> dict[str, Any]:
    pin_id, other = (*pins, None)[:2]
    names = {"pin_id": pin_id, "other": other, "left": left, "forgets": None}
    return {"sequence": sequence, "kind": kind, "who": "ann", "why": f"seen {sequence}", **names}


def by(sequence: int) -> str:
    return f'(#{sequence}, ann: "seen {sequence}")'


LINKS = [row(0, "link", "a", "b"), row(1, "link", "c", "b"), row(2, "link", "c", "d")]


@pytest.mark.parametrize(
    ("stands", "new", "proof"),
    [
        ([], row(9, "unlink", "a", "b"), None),
        (LINKS, row(9, "link", "a", "d"), None),
        (
            LINKS,
            row(9, "unlink", "a", "c"),
            [f"a = b {by(0)}", f"c = b {by(1)}", f"a != c {by(9)}"],
        ),
        (
            [*LINKS, row(3, "link", "a", "d")],
            row(9, "unlink", "d", "a"),
            [f"a = d {by(3)}", f"d != a {by(9)}"],  # the shortest chain of two
        ),
        (
            [row(0, "link", "a", "b"), row(1, "unlink", "c", "a")],
            row(9, "link", "b", "c"),
            [f"b = c {by(9)}", f"a = b {by(0)}", f"c != a {by(1)}"],
        ),
        (  # the shorter proof of two
            [*LINKS[:2], row(2, "unlink", "a", "d"), row(3, "unlink", "c", "d")],
            row(9, "link", "d", "c"),
            [f"d = c {by(9)}", f"c != d {by(3)}"],
        ),
        (  # a move keeps its pin apart from the cluster that it left
            [row(0, "move", "a", "b", left="c")],
            row(9, "link", "b", "c"),
            [f"a = b {by(0)}", f"b = c {by(9)}", f"a != c {by(0)}"],
        ),
        (  # and may not leave the one that it goes to
            [row(0, "link", "b", "c")],
            row(9, "move", "a", "b", left="c"),
            [f"a = b {by(9)}", f"b = c {by(0)}", f"a != c {by(9)}"],
        ),
        (
            [row(0, "block", "b")],
            row(9, "link", "a", "b"),
            [f"a = b {by(9)}", f"b is alone {by(0)}"],
        ),
        (
            [row(0, "move", "b", "a")],
            row(9, "block", "a"),
            [f"b = a {by(0)}", f"a is alone {by(9)}"],
        ),
        ([row(0, "block", "b")], row(9, "unlink", "a", "b"), None),
        ([row(0, "block", "a"), row(1, "link", "b", "c")], row(9, "link", "c", "d"), None),
    ],
)
def test_a_refusal_shows_what_proves_it(
    stands: list[dict[str, Any]], new: dict[str, Any], proof: list[str] | None
) -> None:
    found = refusal(stands, new)
    assert (found is None) == (proof is None)
    if found is not None and proof is not None:
        assert sorted(found[:-1]) == sorted(proof[:-1]) and found[-1] == proof[-1]
