"""Pair and B-cubed figures against their definitions, by loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neardup.clusters.quality import Churn, agreement, drift


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=25))
def test_agrees_with_the_definitions(labels: list[tuple[int, int]]) -> None:
    found, truth = (np.array(side, np.int64) for side in zip(*labels, strict=True))
    n = len(found)
    pairs = [(i, j) for i in range(n) for j in range(i)]
    in_found = {p for p in pairs if found[p[0]] == found[p[1]]}
    in_truth = {p for p in pairs if truth[p[0]] == truth[p[1]]}
    measured = agreement(found, truth)
    assert measured.pair_precision == (
        len(in_found & in_truth) / len(in_found) if in_found else 1.0
    )
    assert measured.pair_recall == (len(in_found & in_truth) / len(in_truth) if in_truth else 1.0)
    shares = [
        (
            ((found == found[i]) & (truth == truth[i])).sum(),
            (found == found[i]).sum(),
            (truth == truth[i]).sum(),
        )
        for i in range(n)
    ]
    assert measured.b3_precision == pytest.approx(np.mean([both / own for both, own, _ in shares]))
    assert measured.b3_recall == pytest.approx(np.mean([both / own for both, _, own in shares]))
    assert measured.ari == pytest.approx(ari(len(pairs), in_found, in_truth))


def ari(pairs: int, in_found: set, in_truth: set) -> float:
    """As Hubert and Arabie write it."""
    chance = len(in_found) * len(in_truth) / pairs if pairs else 0.0
    most = (len(in_found) + len(in_truth)) / 2
    return (len(in_found & in_truth) - chance) / (most - chance) if most != chance else 1.0


@pytest.mark.parametrize(
    ("case", "before", "after", "expected"),
    [
        ("nothing", [1, 1, 2], [1, 1, 2], Churn(0, 0, 0)),
        ("a split", [1, 1, 1], [1, 1, 9], Churn(1, 1, 0)),
        ("a merge", [1, 2, 2], [2, 2, 2], Churn(1, 0, 1)),
        ("a move", [1, 1, 2, 2], [1, 2, 2, 2], Churn(1, 1, 1)),
        ("none", [], [], Churn(0, 0, 0)),
    ],
)
def test_churn(case: str, before: list[int], after: list[int], expected: Churn) -> None:
    one, other = np.array(before, np.int64), np.array(after, np.int64)
    assert drift(one, other) == (agreement(one, other), expected), case


def test_perfect_and_empty() -> None:
    labels = np.array([3, 3, 1])
    assert agreement(labels, labels).pair_f1 == agreement(labels, labels).b3_f1 == 1.0
    nothing = np.empty(0, np.int64)
    assert agreement(nothing, nothing).b3_f1 == 1.0
