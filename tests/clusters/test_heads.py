"""Heads and best copies, against their definitions."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.clusters.attach import SAMPLE
from neardup.clusters.evidence import Evidence
from neardup.clusters.heads import MARGIN, best_copies, heads

BITS = 1024
EVIDENCE = Evidence(((320 - np.arange(BITS + 1)) / 16).astype(np.float32), trusted=1.0)


def near(rng: np.random.Generator, n: int, flips: list[int]) -> np.ndarray:
    """One random signature ``n`` times, ``flips[i]`` bits of the i-th turned."""
    bits = np.repeat(rng.integers(0, 2, (1, BITS), np.uint8), n, axis=0)
    for row, turned in zip(bits, flips, strict=True):
        row[rng.choice(BITS, turned, replace=False)] ^= 1
    return np.packbits(bits, axis=1)


def head_of(signatures: np.ndarray, pixels: list[int], was_head: int | None = None) -> int:
    n = len(signatures)
    before = np.arange(n) == was_head
    found = heads(EVIDENCE, signatures, np.full(n, 7), np.array(pixels), before)
    assert len(set(found.tolist())) == 1
    return int(found[0])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30), clusters=st.integers(1, 5))
def test_the_head_is_the_medoid_up_to_the_margin(seed: int, n: int, clusters: int) -> None:
    rng = np.random.default_rng(seed)
    signatures = near(rng, n, rng.integers(0, 200, n).tolist())
    labels, pixels = rng.integers(0, clusters, n), rng.integers(0, 3, n)
    was_head = rng.random(n) < 0.2
    found = heads(EVIDENCE, signatures, labels, pixels, was_head)
    evidence = EVIDENCE.between(signatures, signatures).astype(np.float64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        others = len(members) - 1
        means = {
            i: (sum(evidence[i, j] for j in members if j != i) / others if others else 0.0)
            for i in members.tolist()
        }
        central = [i for i in members.tolist() if means[i] >= max(means.values()) - MARGIN]
        kept = [i for i in central if was_head[i]] or central
        expected = min(kept, key=lambda i: (-pixels[i], i))
        assert found[members].tolist() == [expected] * len(members)


def test_a_head_stays_unless_it_is_clearly_beaten() -> None:
    rng = np.random.default_rng(1)
    signatures = near(rng, 4, [0, 4, 0, 200])
    assert head_of(signatures, [5, 5, 9, 99]) == 2, "of those about as central the largest"
    assert head_of(signatures, [5, 5, 5, 99]) == 0, "of equal ones the oldest"
    assert head_of(signatures, [5, 5, 9, 99], was_head=1) == 1
    assert head_of(signatures, [5, 5, 9, 99], was_head=3) == 2


def test_of_two_pins_the_larger_picture_is_the_head() -> None:
    signatures = near(np.random.default_rng(2), 2, [0, 90])
    assert head_of(signatures, [10, 20]) == 1
    assert head_of(signatures, [10, 20], was_head=0) == 0


def test_a_large_cluster_has_a_central_head() -> None:
    rng = np.random.default_rng(3)
    flips = rng.integers(60, 200, 2 * SAMPLE).tolist()
    flips[300] = 0
    assert head_of(near(rng, len(flips), flips), [1] * len(flips)) == 300


def test_the_best_copy_is_the_largest_then_the_least_compressed() -> None:
    labels = np.array([3, 3, 3, 8, 3])
    pixels, file_bytes = np.array([10, 20, 20, 1, 20]), np.array([900, 50, 70, 0, 70])
    assert best_copies(labels, pixels, file_bytes).tolist() == [2, 2, 2, 3, 2]


def test_nobody_has_no_head() -> None:
    nothing = np.empty(0, np.int64)
    empty = np.empty((0, BITS // 8), np.uint8)
    assert heads(EVIDENCE, empty, nothing, nothing, nothing.astype(bool)).tolist() == []
    assert best_copies(nothing, nothing, nothing).tolist() == []
