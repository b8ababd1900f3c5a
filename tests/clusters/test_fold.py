"""The fold against a naive model of itself, and its promises."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from neardup.clusters.attach import SAMPLE, Batch
from neardup.clusters.evidence import Evidence
from neardup.clusters.fold import FOUNDER_BITS, NOBODY, Fold, Link, Membership, decreed_id
from tests.clusters.naive_fold import NaiveFold

BITS = 1024
BYTES = BITS // 8


def evidence(apart: int | None = None) -> Evidence:
    """Evidence falls by 1 in 64 bits and is 0 at 320 differing bits; links of .25 count."""
    table = (320 - np.arange(BITS + 1)) / 64 + 2
    return Evidence(table.astype(np.float32), trusted=2.25, zero=2.0, apart=apart)


def fold_of(signatures: np.ndarray, generation: int = 0) -> Fold:
    return Fold(evidence(), lambda rows: signatures[rows], generation)


def links_to(signatures: np.ndarray, ordinal: int, radius: int = 288) -> list[Link]:
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
    fold.add(1, [Link(0, 2.24)])
    assert standing(fold, 2) == [(0, 0), (1, 1)]
    trusting = fold_of(signatures)
    trusting.add(0, [])
    trusting.add(1, [Link(0, 2.25)])
    assert standing(trusting, 2) == [(0, 0), (0, 0)]


def test_a_bridge_does_not_merge_two_families() -> None:
    """One pin linked to both families joins the nearer; the families, far apart, stay apart."""
    rng = np.random.default_rng(7)
    left, right = np.zeros(BYTES, np.uint8), np.full(BYTES, 0xFF, np.uint8)
    both = np.concatenate([family(rng, left, 6, 48), family(rng, right, 6, 48)])
    signatures = np.concatenate([both, both[:1]])
    fold = fold_of(signatures)
    for ordinal in range(12):
        fold.add(ordinal, links_to(signatures, ordinal))
    fold.add(12, [Link(0, 5.0), Link(6, 4.0)])
    ids = [cluster for cluster, _ in standing(fold, 13)]
    assert ids == [0] * 6 + [6] * 6 + [0]


def test_a_bridge_merges_two_halves_of_one_family() -> None:
    rng = np.random.default_rng(8)
    signatures = family(rng, np.zeros(BYTES, np.uint8), 9, 64)
    fold = fold_of(signatures)
    for ordinal in range(8):  # two halves that never saw a link between them
        fold.add(
            ordinal,
            [link for link in links_to(signatures, ordinal) if link.ordinal // 4 == ordinal // 4],
        )
    assert len({cluster for cluster, _ in standing(fold, 8)}) == 2
    fold.add(8, links_to(signatures, 8))
    assert len({cluster for cluster, _ in standing(fold, 9)}) == 1


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


def test_repeats_change_nothing() -> None:
    signatures = np.zeros((2, BYTES), np.uint8)
    fold = fold_of(signatures)
    for _ in range(2):
        fold.add(0, [])
        fold.add(1, [Link(0, 9.0), Link(0, 9.0)])
    assert len(fold.take_changes()) == 2
    fold.leave(1)
    fold.leave(1)
    assert fold.take_changes() == [(1, NOBODY, NOBODY)]
    assert fold.members(0).tolist() == [0]


def test_pins_too_far_apart_are_never_together() -> None:
    """Twenty near pins outvote one impossible pair, unless a bound says that it is impossible."""
    bits = np.zeros((22, BITS), np.uint8)
    bits[1:21, :200] = 1
    bits[21, :400] = 1
    signatures = np.packbits(bits, axis=1)
    together = []
    for apart in (None, 399):
        fold = Fold(evidence(apart), lambda rows: signatures[rows], 0)
        for ordinal in range(22):
            fold.add(ordinal, links_to(signatures, ordinal))
        ids = [cluster for cluster, _ in standing(fold, 22)]
        together.append(ids[0] == ids[21])
        assert len(set(ids)) == 1 if apart is None else 2
    assert together == [True, False]


def test_signatures_must_be_there() -> None:
    fold = fold_of(np.zeros((1, BYTES), np.uint8))
    with pytest.raises(ValueError, match="signatures of 1 pins, not of 2"):
        fold.add(1, [])


class History:
    """A random stretch of log: near and far pins, missing and repeated links, leaves."""

    def __init__(self, seed: int, n: int) -> None:
        self.rng = np.random.default_rng(seed)
        centres = self.rng.integers(0, 256, (3, BYTES), np.uint8)
        centres[1] = centres[0] ^ family(self.rng, np.zeros(BYTES, np.uint8), 1, 300)[0]
        flips = self.rng.integers(0, 160, n).tolist()
        kinds = np.minimum(self.rng.integers(0, 5, n) // 2, 2).tolist()
        self.signatures = np.concatenate(
            [family(self.rng, centres[k], 1, f) for k, f in zip(kinds, flips, strict=True)]
        )

    def links(self, ordinal: int) -> list[Link]:
        found = links_to(self.signatures, ordinal, 310)
        if not found:
            return []
        return [found[i] for i in self.rng.integers(0, len(found), self.rng.integers(0, 6))]


class AgainstTheModel(RuleBasedStateMachine):
    """Adds, leaves, what people say, restarts: the model and the fold stand alike after each."""

    ROOM = 120

    @initialize(seed=st.integers(0, 2**32 - 1), apart=st.sampled_from([None, 330]))
    def begin(self, seed: int, apart: int | None) -> None:
        self.history = History(seed, self.ROOM)
        self.evidence = evidence(apart)
        self.model = NaiveFold(self.evidence, self.history.signatures)
        self.fold = Fold(self.evidence, self.rows, 0)
        self.said = 0
        self.walls, self.blocked = np.empty((0, 2), np.int64), np.empty(0, np.int64)

    def rows(self, rows: slice) -> np.ndarray:
        return self.history.signatures[rows]

    @precondition(lambda self: self.model.given + 12 <= self.ROOM)
    @rule(n=st.integers(1, 12))
    def add(self, n: int) -> None:
        for ordinal in range(self.model.given, self.model.given + n):
            links = self.history.links(ordinal)
            self.model.add(ordinal, links)
            self.fold.add(ordinal, links)

    @precondition(lambda self: self.model.members)
    @rule(which=st.integers(0, 10**6), head=st.booleans())
    def leave(self, which: int, head: bool) -> None:
        cluster = sorted(self.model.members)[which % len(self.model.members)]
        members = sorted(self.model.members[cluster])
        leaving = self.model.heads[cluster] if head else members[which % len(members)]
        self.model.leave(leaving)
        self.fold.leave(leaving)

    @precondition(lambda self: len(self.model.members) > 1)
    @rule(what=st.sampled_from(["unite", "part", "isolate", "move"]), seed=st.integers(0, 99))
    def a_person_speaks(self, what: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        live = [m.ordinal for m in self.model.standing() if m.cluster_id != NOBODY]
        one, other = rng.choice(live, 2, replace=False).tolist()
        if seed % 2:  # two of one cluster, if there are
            other = rng.choice(sorted(self.model.members[self.model.cluster_of(one)])).item()
        self.said += 1
        arguments = {
            "unite": (one, other),
            "part": (one, other, decreed_id(0, self.said)),
            "isolate": (one, decreed_id(0, self.said)),
            "move": (one, other),
        }[what]
        if what != "part" or one != other:
            expected = getattr(self.model, what)(*arguments)
            assert getattr(self.fold, what)(*arguments) == expected

    @rule(seed=st.integers(0, 99))
    def decree(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        near = min(self.model.given + 20, self.ROOM)
        self.walls = rng.choice(near, (rng.integers(0, 6), 2))
        self.blocked = rng.choice(near, rng.integers(0, 4))
        self.model.walls = [tuple(wall) for wall in self.walls.tolist()]
        self.model.blocked = set(self.blocked.tolist())
        self.fold.decree(self.walls, self.blocked)

    @rule()
    def take(self) -> None:
        assert self.fold.take_changes() == self.model.take_changes()

    @rule(seed=st.integers(0, 99))
    def restart(self, seed: int) -> None:
        self.take()
        live = [m for m in self.fold.memberships(range(len(self.fold))) if m.cluster_id != NOBODY]
        order = np.random.default_rng(seed).permutation(len(live))
        columns = np.array([live[i] for i in order], np.int64).reshape(-1, 3).T
        self.fold = Fold.restore(self.evidence, self.rows, 0, tuple(columns), self.model.given)
        self.fold.decree(self.walls, self.blocked)

    @invariant()
    def they_stand_alike(self) -> None:
        model, fold = self.model, self.fold
        assert list(fold.memberships(range(len(fold)))) == model.standing()
        assert fold.dead().tolist() == [
            m.ordinal for m in model.standing() if m.cluster_id == NOBODY
        ]
        for members in model.members.values():
            assert fold.members(min(members)).tolist() == sorted(members)


TestAgainstTheModel = AgainstTheModel.TestCase
TestAgainstTheModel.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("apart", [None, 330])
def test_clusters_of_more_members_than_speak(apart: int | None) -> None:
    seed = int(np.random.default_rng().integers(2**32))
    print(f"seed {seed}")
    history = History(seed, 700)
    model = NaiveFold(evidence(apart), history.signatures)
    fold = Fold(evidence(apart), lambda rows: history.signatures[rows], 0)
    for ordinal in range(700):
        links = history.links(ordinal)
        model.add(ordinal, links)
        fold.add(ordinal, links)
    assert max(map(len, model.members.values())) > SAMPLE
    assert list(fold.memberships(range(700))) == model.standing()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.sets(st.integers(1, 149), max_size=6))
def test_where_batches_end_changes_nothing(seed: int, cuts: set[int], tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    """Row by row in memory, or in batches in files: the same clusters, the same changes."""
    history, n = History(seed, 100), 150
    rows: list[tuple[int, int, list[Link]]] = []
    given = 0
    for i in range(n):
        if given < 100 and (i % 3 or not given):
            previous = int(history.rng.integers(0, given)) if given and i % 7 == 0 else NOBODY
            rows.append((previous, given, history.links(given)))
            given += 1
        else:
            rows.append((int(history.rng.integers(0, given)), NOBODY, []))
    one = fold_of(history.signatures)
    for previous, ordinal, links in rows:
        if previous != NOBODY and one.is_live(previous):
            one.leave(previous)
        if ordinal != NOBODY:
            one.add(ordinal, links)
    directory = tmp_path_factory.mktemp("fold")
    batched = Fold(evidence(), lambda rows: history.signatures[rows], 0, directory)
    edges = [0, *sorted(cuts), n]
    changed: dict[int, Membership] = {}
    for begin, end in pairwise(edges):
        batched.fold(batch_of(rows[begin:end]))
        changed.update({change.ordinal: change for change in batched.take_changes()})
    assert standing(batched, given) == standing(one, given)
    for ordinal, cluster_id, _ in one.take_changes():  # heads: on the cluster's newest row
        assert changed[ordinal].cluster_id == cluster_id


def batch_of(rows: list[tuple[int, int, list[Link]]]) -> Batch:
    links = [link for _, _, own in rows for link in own]
    return Batch(
        np.array([previous for previous, _, _ in rows], np.int64),
        np.array([ordinal for _, ordinal, _ in rows], np.int64),
        np.cumsum([0, *(len(own) for _, _, own in rows)]),
        np.array([link.ordinal for link in links], np.int64),
        np.array([link.score for link in links], np.float64),
    )


def test_files_grow_in_place(tmp_path: Path) -> None:
    signatures = np.zeros((3000, BYTES), np.uint8)
    fold = Fold(evidence(), lambda rows: signatures[rows], 0, tmp_path)
    for ordinal in range(0, 3000, 7):
        fold.add(ordinal, [Link(ordinal - 7, 7.0)] if ordinal else [])
    assert fold.members(0).tolist() == list(range(0, 3000, 7))
    assert len(fold.dead()) == len(fold) - len(fold.members(0))
