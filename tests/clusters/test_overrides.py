"""Contradictions among what people said, against union-find."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.clusters.components import components
from neardup.clusters.contradiction import Statement, contradiction


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
