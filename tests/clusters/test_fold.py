"""The fold against a naive model of itself, and its promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.clusters.evidence import Evidence
from neardup.clusters.fold import FOUNDER_BITS, SAMPLE, Fold, Link, _lowest

BITS = 64
BYTES = BITS // 8


def evidence(zero: int = 20) -> Evidence:
    """Log-odds fall by a quarter a bit and are 0 at ``zero`` differing bits; links of 1 count."""
    return Evidence(((zero - np.arange(BITS + 1)) / 4).astype(np.float32), trusted=1.0)


def fold_of(signatures: np.ndarray, generation: int = 0) -> Fold:
    return Fold(evidence(), lambda ordinals: signatures[ordinals], generation)


def links_to(signatures: np.ndarray, ordinal: int, radius: int = 18) -> list[Link]:
    table = evidence().by_hamming
    distances = np.bitwise_count(signatures[:ordinal] ^ signatures[ordinal]).sum(axis=1)
    return [Link(int(o), float(table[distances[o]])) for o in np.flatnonzero(distances <= radius)]


def family(rng: np.random.Generator, centre: np.ndarray, n: int, flips: int) -> np.ndarray:
    """``n`` signatures that differ from ``centre`` in at most ``flips`` bits."""
    bits = np.repeat(np.unpackbits(centre)[None], n, axis=0)
    for row in bits:
        row[rng.choice(BITS, flips, replace=False)] ^= 1
    return np.packbits(bits, axis=1)


def standing(fold: Fold, n: int) -> list[tuple[int, int]]:
    return [(m.cluster_id, m.head) for m in fold.memberships(range(n))]


def test_a_pin_without_links_founds_a_cluster_named_after_it() -> None:
    fold = fold_of(np.zeros((3, BYTES), np.uint8), generation=2)
    fold.add(0, [])
    (change,) = fold.take_changes()
    assert change == (0, 2 << FOUNDER_BITS, 0)
    assert fold.take_changes() == []


def test_a_link_below_trust_holds_nothing_together() -> None:
    signatures = np.zeros((2, BYTES), np.uint8)
    fold = fold_of(signatures)
    fold.add(0, [])
    fold.add(1, [Link(0, 0.99)])
    assert standing(fold, 2) == [(0, 0), (1, 1)]
    trusting = fold_of(signatures)
    trusting.add(0, [])
    trusting.add(1, [Link(0, 1.0)])
    assert standing(trusting, 2) == [(0, 0), (0, 0)]


def test_a_bridge_does_not_merge_two_families() -> None:
    """One pin linked to both families joins the nearer; the families, far apart, stay apart."""
    rng = np.random.default_rng(7)
    left, right = np.zeros(BYTES, np.uint8), np.full(BYTES, 0xFF, np.uint8)
    both = np.concatenate([family(rng, left, 6, 3), family(rng, right, 6, 3)])
    signatures = np.concatenate([both, both[:1]])
    fold = fold_of(signatures)
    for ordinal in range(12):
        fold.add(ordinal, links_to(signatures, ordinal))
    fold.add(12, [Link(0, 5.0), Link(6, 4.0)])
    ids = [cluster for cluster, _ in standing(fold, 13)]
    assert ids == [0] * 6 + [6] * 6 + [0]


def test_a_bridge_merges_two_halves_of_one_family() -> None:
    rng = np.random.default_rng(8)
    signatures = family(rng, np.zeros(BYTES, np.uint8), 9, 4)
    fold = fold_of(signatures)
    for ordinal in range(8):  # two halves that never saw a link between them
        fold.add(
            ordinal,
            [link for link in links_to(signatures, ordinal) if link.ordinal // 4 == ordinal // 4],
        )
    assert len({cluster for cluster, _ in standing(fold, 8)}) == 2
    fold.add(8, links_to(signatures, 8))
    assert len({cluster for cluster, _ in standing(fold, 9)}) == 1


@pytest.mark.parametrize("order", ["forth", "back", "shuffled"])
def test_a_morphing_chain_stays_cut(order: str) -> None:
    """A becomes B in 64 steps of one bit: whatever the order, A and B are not one picture."""
    steps = np.packbits(np.tril(np.ones((BITS + 1, BITS), np.uint8), -1), axis=1)
    n = len(steps)
    sequence = {
        "forth": np.arange(n),
        "back": np.arange(n)[::-1],
        "shuffled": np.random.default_rng(3).permutation(n),
    }[order]
    signatures = steps[sequence]
    fold = fold_of(signatures)
    for ordinal in range(n):
        fold.add(ordinal, links_to(signatures, ordinal))
    where = np.argsort(sequence)
    ids = [cluster for cluster, _ in standing(fold, n)]
    assert ids[where[0]] != ids[where[-1]]
    for cluster in set(ids):
        own = sequence[[i for i, c in enumerate(ids) if c == cluster]]
        assert np.ptp(own) <= 48, "a cluster spans no more than the evidence allows"


def test_a_deleted_head_is_replaced_by_the_oldest_member() -> None:
    signatures = np.zeros((3, BYTES), np.uint8)
    fold = fold_of(signatures)
    for ordinal in range(3):
        fold.add(ordinal, links_to(signatures, ordinal))
    fold.take_changes()
    fold.leave(0)
    assert [tuple(c) for c in fold.take_changes()] == [(0, -1, -1), (1, 0, 1)]
    assert standing(fold, 3) == [(-1, -1), (0, 1), (0, 1)]
    assert fold.dead().tolist() == [0]
    fold.leave(1)
    fold.leave(2)
    assert standing(fold, 3) == [(-1, -1)] * 3


def test_links_to_dead_pins_have_no_effect() -> None:
    fold = fold_of(np.zeros((2, BYTES), np.uint8))
    fold.add(0, [])
    fold.leave(0)
    fold.add(1, [Link(0, 9.0)])
    assert standing(fold, 2) == [(-1, -1), (1, 1)]


def test_the_sample_depends_on_the_members_alone() -> None:
    rng = np.random.default_rng(11)
    members = rng.choice(10_000, 200, replace=False)
    whole = _lowest(members)
    halves = np.concatenate([_lowest(members[:90]), _lowest(members[90:])])
    assert len(whole) == SAMPLE
    assert np.array_equal(whole, _lowest(rng.permutation(members)))
    assert np.array_equal(whole, _lowest(halves))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 119))
def test_a_restored_fold_goes_on_as_if_it_had_never_stopped(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    n, centres = 120, rng.integers(0, 256, (4, BYTES), np.uint8)
    signatures = np.concatenate(
        [
            family(rng, centres[i % 4] if i % 5 else centres[0], 1, int(rng.integers(0, 9)))
            for i in range(n)
        ]
    )
    leaving = {int(i): int(rng.integers(0, i)) for i in rng.integers(1, n, 15)}

    def advance(fold: Fold, begin: int, end: int) -> None:
        for ordinal in range(begin, end):
            if ordinal in leaving and fold.is_live(leaving[ordinal]):
                fold.leave(leaving[ordinal])
            fold.add(ordinal, links_to(signatures, ordinal))

    straight = fold_of(signatures)
    advance(straight, 0, n)
    first = fold_of(signatures)
    advance(first, 0, cut)
    live = [m for m in first.memberships(range(cut)) if m.cluster_id >= 0]
    columns = np.array([tuple(m) for m in live], np.int64).reshape(-1, 3).T
    shuffled = rng.permutation(len(live))
    resumed = Fold.restore(
        evidence(), lambda o: signatures[o], 0, tuple(c[shuffled] for c in columns), cut
    )
    assert standing(resumed, cut) == standing(first, cut)
    advance(resumed, cut, n)
    assert standing(resumed, n) == standing(straight, n)
    for ordinal in range(n):
        if straight.is_live(ordinal):
            assert sorted(straight.members(ordinal)) == sorted(resumed.members(ordinal))
