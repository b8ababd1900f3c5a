"""Ids through a recompute."""

import numpy as np
import pytest

from neardup.clusters.fold import FOUNDER_BITS
from neardup.clusters.identity import history, keep_ids

NEW = 3 << FOUNDER_BITS


@pytest.mark.parametrize(
    ("case", "old", "parts", "kept"),
    [
        ("unchanged", [7, 7, 9], [0, 0, 2], [7, 7, 9]),
        ("split: the larger part keeps the id", [7, 7, 7], [0, 1, 1], [NEW | 0, 7, 7]),
        ("even split: the older founder keeps it", [7, 7], [0, 1], [7, NEW | 1]),
        ("merge: the larger cluster's id", [7, 9, 9], [0, 0, 0], [9, 9, 9]),
        ("a pin moves", [7, 7, 9, 9], [0, 1, 1, 1], [7, 9, 9, 9]),
        ("none", [], [], []),
    ],
)
def test_keep_ids(case: str, old: list[int], parts: list[int], kept: list[int]) -> None:
    found = keep_ids(np.array(old, np.int64), np.array(parts, np.int64), generation=3)
    assert found.tolist() == kept, case


def test_no_two_parts_share_an_id() -> None:
    rng = np.random.default_rng(17)
    for _ in range(100):
        old = rng.integers(0, 20, 60)
        labels = rng.integers(0, 15, 60)
        parts = np.array([np.flatnonzero(labels == label).min() for label in labels])
        ids = keep_ids(old, parts, generation=3)
        assert len(np.unique(np.stack([ids, parts]), axis=1).T) == len(np.unique(parts))
        assert len(np.unique(ids)) == len(np.unique(parts))


@pytest.mark.parametrize(
    ("case", "old", "new", "rows"),
    [
        ("unchanged", [7, 7, 9], [7, 7, 9], []),
        ("a split", [7, 7, 7], [7, 7, 8], [(7, 7, 2, 2 / 3), (7, 8, 1, 1 / 3)]),
        ("a merge", [7, 9, 9], [9, 9, 9], [(7, 9, 1, 1.0), (9, 9, 2, 1.0)]),
        ("another id", [7, 7], [8, 8], [(7, 8, 2, 1.0)]),
        ("a move", [7, 7, 9, 9], [7, 9, 9, 9], [(7, 7, 1, 0.5), (7, 9, 1, 0.5), (9, 9, 2, 1.0)]),
        ("none", [], [], []),
    ],
)
def test_history(
    case: str, old: list[int], new: list[int], rows: list[tuple[int, int, int, float]]
) -> None:
    found = history(np.array(old, np.int64), np.array(new, np.int64))
    assert list(zip(*(column.tolist() for column in found), strict=True)) == rows, case


def test_ids_that_are_gone_never_come_back() -> None:
    """Through ten generations of random recomputes, whatever was lost stays lost."""
    rng = np.random.default_rng(18)
    ids, gone = np.arange(80), set()
    for generation in range(1, 11):
        labels = np.where(rng.random(80) < 0.8, ids, rng.choice(ids, 80))
        parts = np.array([np.flatnonzero(labels == label).min() for label in labels])
        after = keep_ids(ids, parts, generation)
        gone |= set(ids.tolist()) - set(after.tolist())
        assert not gone & set(after.tolist())
        ids = after
    assert gone
