"""The arithmetic behind the figures of `neardup bench index`."""

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neardup.benchmarks.index_backfill import planted_corpus
from neardup.benchmarks.index_mllib import tuned
from neardup.benchmarks.index_peers import MultiHash, alternate, flat, found_within, peer
from neardup.benchmarks.index_size import entropy, gaps_of
from neardup.index.varbyte import decode
from neardup.models.hasher import Hasher
from neardup.schemas.errors import EnvironmentProblem

LISTS = st.lists(st.lists(st.integers(0, 500), unique=True).map(sorted), min_size=1, max_size=6)


def test_a_missing_peer_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(EnvironmentProblem, match=r"faiss.*pip install 'neardup\[bench\]'"):
        peer("faiss")


def test_calls_take_turns() -> None:
    calls: list[tuple[str, int]] = []
    clock = iter(range(100)).__next__
    seconds = alternate(
        2, lambda i: calls.append(("a", i)), lambda i: calls.append(("b", i)), clock=clock
    )
    assert calls == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert seconds == [[1, 1], [1, 1]]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(any))
def test_entropy_counts_subsets(lengths: list[int]) -> None:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint32)
    n = sum(lengths)
    expected = sum(math.log2(math.comb(n, length)) for length in lengths)
    assert entropy(np.stack([offsets, offsets])) == pytest.approx(2 * expected, abs=1e-6)


@given(LISTS)
def test_gaps_start_anew_in_each_list(lists: list[list[int]]) -> None:
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in lists])]).astype(np.uint32)
    values = np.array([value for one in lists for value in one], np.uint32)
    expected = [value - before for one in lists for before, value in zip([0, *one], one)]  # noqa: B905
    assert gaps_of(values, offsets).tolist() == expected


@pytest.mark.parametrize("setting", [MultiHash(20, 16, 1), MultiHash(30, 12, 0)])
def test_recall_of_a_multihash_is_what_faiss_finds(setting: MultiHash) -> None:
    pytest.importorskip("faiss", reason="needs faiss-cpu: pip install 'neardup[bench]'")
    rng = np.random.default_rng(1)
    signatures = rng.integers(0, 256, (400, 128), np.uint8)
    patterns = np.packbits(rng.random((400, 1024)) < rng.random((400, 1)) * 0.3, axis=1)
    found = found_within(setting.build(signatures), signatures ^ patterns, 1024)
    hits = [row in rows for row, rows in enumerate(found)]
    assert 0.1 < np.mean(hits) < 0.95
    assert setting.recall(patterns) == pytest.approx(np.mean(hits))


def test_the_fewest_tables_that_reach_the_recall() -> None:
    patterns = np.packbits(np.random.default_rng(2).random((300, 1024)) < 0.1, axis=1)
    least = MultiHash.least(16, 1, patterns, 0.9)
    assert least is not None
    assert least.recall(patterns) >= 0.9 > least._replace(hashes=least.hashes - 1).recall(patterns)
    assert MultiHash.least(64, 0, patterns, 0.9) is None


def test_faiss_is_asked_for_the_radius_itself() -> None:
    pytest.importorskip("faiss", reason="needs faiss-cpu: pip install 'neardup[bench]'")
    signatures = np.zeros((3, 128), np.uint8)
    signatures[1, 0], signatures[2, 0] = 0b111, 0b1111
    (found,) = found_within(flat(signatures), signatures[:1], 3)
    assert sorted(found.tolist()) == [0, 1]


def test_a_join_is_tuned_to_the_recall_that_projections_give() -> None:
    rng = np.random.default_rng(3)
    dim, n = 64, 4000
    true = rng.uniform(0.5, 2, n).astype(np.float32)
    unrelated = rng.uniform(3, 5, n).astype(np.float32)
    join = tuned(true, unrelated, dim, 0.8)
    for apart, expected in ((true, join.recall), (unrelated, join.compared)):
        assert _shared(apart, join.bucket, join.tables, dim, rng) == pytest.approx(
            expected, abs=0.03
        )
    assert join.recall >= 0.8 > join.compared


def _shared(
    apart: np.ndarray, bucket: float, tables: int, dim: int, rng: np.random.Generator
) -> float:
    """By simulation: how often points so far apart share a bucket along a random direction."""
    shared = np.zeros(len(apart), bool)
    for _ in range(tables):
        directions = rng.normal(size=(len(apart), 2, dim))
        directions /= np.linalg.norm(directions, axis=2, keepdims=True)
        moved = (directions[:, 0] * directions[:, 1]).sum(axis=1) * apart
        start = rng.uniform(0, bucket, len(apart))
        shared |= np.floor(start / bucket) == np.floor((start + moved) / bucket)
    return float(shared.mean())


def test_a_smaller_corpus_keeps_its_pairs() -> None:
    hasher = Hasher.load()
    rng = np.random.default_rng(4)
    scale = hasher.mean.std()
    vectors = hasher.mean + rng.normal(0, scale, (400, hasher.dim)).astype(np.float32)
    changes = rng.normal(0, scale / 20, (5, hasher.dim)).astype(np.float32)
    corpus = planted_corpus(hasher, vectors, changes, 325, rng)
    small = corpus.first(100)
    assert (len(corpus.newer), len(small.newer), len(small.vectors)) == (20, 5, 100)
    for one in (corpus, small):
        assert (one.newer > one.older).all()
        moved = one.vectors[one.newer] - one.vectors[one.older]
        nearest = np.abs(moved[:, None] - changes).max(axis=2).min(axis=1)
        assert nearest.max() < 1e-5 * scale * 100
    assert len(np.unique(small.vectors, axis=0)) == 100


def test_gaps_are_what_decoding_adds_up() -> None:
    offsets = np.array([0, 3, 3, 5], np.uint32)
    gaps = gaps_of(np.array([1, 2, 9, 0, 4], np.uint32), offsets)
    np.testing.assert_array_equal(decode(gaps.astype(np.uint8), offsets), [1, 2, 9, 0, 4])
