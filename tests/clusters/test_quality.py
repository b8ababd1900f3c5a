"""Pair and B-cubed figures against their definitions, by loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neardup.clusters.quality import agreement


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


def test_perfect_and_empty() -> None:
    labels = np.array([3, 3, 1])
    assert agreement(labels, labels).pair_f1 == agreement(labels, labels).b3_f1 == 1.0
    nothing = np.empty(0, np.int64)
    assert agreement(nothing, nothing).b3_f1 == 1.0
