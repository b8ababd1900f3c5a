"""Components are recomputed alone: what else is there, and in which order, changes nothing."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.clusters.component import partition
from neardup.clusters.components import components
from neardup.clusters.disputed import disputed
from neardup.clusters.evidence import Evidence, Links
from neardup.clusters.missed import missed_pairs
from neardup.clusters.recompute import Pins, Recipe, recompute
from neardup.clusters.touched import touched
from neardup.clusters.treap import NOBODY

EVIDENCE = Evidence(((300 - np.arange(1025)) / 20).astype(np.float32), trusted=3.0, apart=450)


def score(left: np.ndarray, right: np.ndarray, *looks: np.ndarray) -> np.ndarray:
    return ((300 - np.bitwise_count(left ^ right).sum(axis=1)) / 20).astype(np.float32)


def recipe(most: int = 512, max_links: int = 8) -> Recipe:
    return Recipe(EVIDENCE, score, 280, 1.0, "m", max_links, most)


def families(rng: np.random.Generator, n: int, k: int, share: float) -> np.ndarray:
    """``n`` pins near ``k`` centres, of which some are near one another."""
    centres = rng.integers(0, 2, (k, 1024), np.uint8)
    centres[1::2] = centres[::2][: k // 2] ^ (rng.random((k // 2, 1024)) < 0.2)
    bits = centres[rng.integers(0, k, n)] ^ (rng.random((n, 1024)) < share)
    return np.packbits(bits, axis=1)


def some_links(rng: np.random.Generator, signatures: np.ndarray, kept: float) -> Links:
    words = signatures.view(np.uint64)
    bits = np.stack([np.bitwise_count(words ^ row).sum(axis=1, dtype=int) for row in words])
    left, right = np.nonzero(np.tril(bits <= 280, -1))
    chosen = rng.random(len(left)) < kept
    left, right = left[chosen], right[chosen]
    return Links(left, right, (300.0 - bits[left, right]) / 20)


def pins_of(rng: np.random.Generator, signatures: np.ndarray, links: Links) -> Pins:
    n = len(signatures)
    held = links.scores >= EVIDENCE.trusted
    labels = components(n, links.left[held], links.right[held])
    return Pins(signatures, signatures[:, :24], labels, rng.integers(0, 3, n), rng.random(n) < 0.2)


def inside(links: Links, kept: np.ndarray) -> Links:
    """Links among these pins, by position among them."""
    both = np.isin(links.left, kept) & np.isin(links.right, kept)
    ends = (np.searchsorted(kept, end[both]) for end in links[:2])
    return Links(*ends, links.scores[both])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), most=st.sampled_from([6, 512]))
def test_each_component_alone_gives_what_all_together_give(seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    signatures = families(rng, 70, 8, 0.08)
    links = some_links(rng, signatures, 0.5)
    pins = pins_of(rng, signatures, links)
    order = rng.permutation(len(links.left))
    shuffled = Links(*(column[order] for column in links))
    labels = rng.permutation(1000)[pins.components]
    whole = recompute(recipe(most), pins._replace(components=labels), shuffled)
    for label in np.unique(pins.components):
        own = np.flatnonzero(pins.components == label)
        alone = recompute(recipe(most), Pins(*(c[own] for c in pins)), inside(links, own))
        assert whole.oldest[own].tolist() == own[alone.oldest].tolist()
        assert whole.heads[own].tolist() == own[alone.heads].tolist()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.05, 0.15]))
def test_only_what_is_disputed_is_cut(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    signatures = families(rng, 60, 8, share)
    links = some_links(rng, signatures, 0.5)
    low = rng.random(len(links.left)) < 0.02
    links = links._replace(scores=np.where(low, -np.inf, links.scores))
    pins = pins_of(rng, signatures, links)
    doubted = disputed(EVIDENCE, signatures, pins.components, links, 20)
    for label in np.unique(pins.components):
        own = np.flatnonzero(pins.components == label)
        weights = EVIDENCE.inside(signatures[own], inside(links, own))
        np.fill_diagonal(weights, 1.0)
        distances = EVIDENCE.between(signatures[own], signatures[own])
        against = (np.minimum(weights, distances) <= 0).any() or len(own) > 20
        assert (doubted[own] == against).all(), label
        if not against:
            assert not partition(EVIDENCE, signatures[own], inside(links, own), 20).any()


def test_the_head_of_a_large_cluster_does_not_depend_on_the_others() -> None:
    rng = np.random.default_rng(3)
    signatures = families(rng, 600, 2, 0.05)
    many = np.flatnonzero(np.arange(600) % 7)
    labels = np.where(np.arange(600) % 7, 1, 0)
    looks = np.zeros((600, 24), np.uint8)
    pins = Pins(signatures, looks, labels, np.ones(600, int), np.zeros(600, bool))
    none = Links(np.empty(0, int), np.empty(0, int), np.empty(0))
    whole = recompute(recipe(1024), pins, none)
    alone = recompute(recipe(1024), Pins(*(column[many] for column in pins)), none)
    assert whole.heads[many].tolist() == many[alone.heads].tolist()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), most=st.integers(1, 5))
def test_missed_pairs_are_the_nearest_older_ones_that_are_no_links(seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    signatures = families(rng, 40, 4, 0.1)
    links, pieces = some_links(rng, signatures, 0.3), rng.integers(0, 3, 40)
    found = missed_pairs(signatures, pieces, links, 280, most)
    known = set(zip(links.left.tolist(), links.right.tolist(), strict=True))
    expected = set()
    for i in range(40):
        bits = np.bitwise_count(signatures[:i] ^ signatures[i]).sum(axis=1)
        near = [(int(bits[j]), j) for j in range(i) if pieces[j] == pieces[i] and bits[j] <= 280]
        expected |= {(i, j) for _, j in sorted(near)[:most]}
    assert set(zip(*(end.tolist() for end in found), strict=True)) == expected - known


def test_a_link_that_the_search_missed_counts() -> None:
    """Three pins in a chain: the ends' own distance says little, the classifier more."""
    rng = np.random.default_rng(5)
    first = rng.integers(0, 2, 1024, np.uint8)
    flips = np.zeros((3, 1024), np.uint8)
    flips[1, :130], flips[2, :270] = 1, 1
    signatures = np.packbits(first ^ flips, axis=1)
    links = Links(np.array([1, 2]), np.array([0, 1]), np.array([4.0, 4.0]))
    pins = Pins(
        signatures, signatures[:, :24], np.zeros(3, int), np.ones(3, int), np.zeros(3, bool)
    )
    table = Evidence(np.where(np.arange(1025) < 200, 5, -30).astype(np.float32), trusted=3.0)
    for says, parts in ((6.0, [0, 0, 0]), (0.0, [0, 0, 2])):

        def same(left: np.ndarray, *others: np.ndarray, says: float = says) -> np.ndarray:
            return np.full(len(left), says, np.float32)

        sure = Recipe(table, same, 280, 1.0, "m")
        assert recompute(sure, pins, links).oldest.tolist() == parts


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 60), edges=st.integers(0, 60))
def test_touched_is_what_a_graph_reaches(seed: int, n: int, edges: int) -> None:
    rng = np.random.default_rng(seed)
    old, new = (rng.integers(0, n, (2, count)) for count in (edges, edges // 3))
    before = components(n, *old)
    before[rng.random(n) < 0.2] = NOBODY
    graph = nx.Graph(new.T.tolist())
    graph.add_nodes_from(range(n))
    graph.add_edges_from((pin, name) for pin, name in enumerate(before.tolist()) if name != NOBODY)
    concerned = rng.integers(0, n, 3)
    reached = set().union(*(nx.node_connected_component(graph, pin) for pin in concerned.tolist()))
    names = np.where(before == NOBODY, np.arange(n), before)
    found = touched(before, *new, concerned)
    assert set(np.flatnonzero(found).tolist()) >= reached & set(range(n)), f"seed {seed}"
    for pin in np.flatnonzero(found).tolist():
        assert pin in reached or names[pin] in reached


@pytest.mark.parametrize("seed", range(3))
def test_components_are_networkx_and_scipy(seed: int) -> None:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 400))
    left, right = rng.integers(0, n, (2, int(rng.integers(0, 2 * n))))
    found = components(n, left, right)
    graph = nx.Graph(zip(left.tolist(), right.tolist(), strict=True))
    graph.add_nodes_from(range(n))
    for members in nx.connected_components(graph):
        assert {int(found[pin]) for pin in members} == {min(members)}, f"seed {seed}"
    matrix = coo_array((np.ones(len(left)), (left, right)), (n, n))
    assert connected_components(matrix, directed=False)[0] == len(np.unique(found))
