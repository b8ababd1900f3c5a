"""Whole components: loosened, cut and mended, against cutting them in one piece."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.clusters.attach import Batch
from neardup.clusters.component import partition
from neardup.clusters.components import components
from neardup.clusters.evidence import Evidence, Links
from neardup.clusters.fold import NOBODY, Fold
from neardup.clusters.loosen import loosen

BITS = 1024


def evidence(apart: int | None = None) -> Evidence:
    """Evidence falls by 1 in 64 bits and is 0 at 320 differing bits."""
    return Evidence(((320 - np.arange(BITS + 1)) / 64).astype(np.float32), 0.25, 0.0, apart)


def distances(signatures: np.ndarray) -> np.ndarray:
    words = signatures.view(np.uint64)
    return np.bitwise_count(words[:, None] ^ words[None]).sum(axis=2).astype(np.int64)


def links_within(signatures: np.ndarray, radius: int, at_most: int) -> Links:
    """Of each pin the nearest older ones, scored as their distances are."""
    apart = distances(signatures)
    pairs = [
        (newer, older)
        for newer in range(len(signatures))
        for older in np.argsort(apart[newer, :newer], kind="stable")[:at_most].tolist()
        if apart[newer, older] <= radius
    ]
    left, right = np.array(pairs, np.int64).reshape(-1, 2).T
    return Links(left, right, evidence().table[apart[left, right]].astype(np.float64))


def families(rng: np.random.Generator, sizes: list[int], flips: int) -> tuple:
    """Signatures that differ from one of random centres in up to ``flips`` bits, shuffled."""
    truth = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = rng.integers(0, 2, (len(sizes), BITS), np.uint8)
    bits = centres[truth]
    for row in bits:
        row[rng.choice(BITS, rng.integers(0, flips + 1), replace=False)] ^= 1
    return np.packbits(bits, axis=1), truth


def chain(rng: np.random.Generator, steps: int, bits: int) -> np.ndarray:
    """A becomes B, which differs in ``bits`` bits, in ``steps`` steps."""
    rows = np.repeat(rng.integers(0, 2, (1, BITS), np.uint8), steps + 1, axis=0)
    turned = rng.permutation(BITS)[:bits]
    for step in range(steps + 1):
        rows[step, turned[: round(bits * step / steps)]] ^= 1
    return np.packbits(rows, axis=1)


def loosened_by_steps(n: int, links: Links, most: int) -> np.ndarray:
    """Raise the threshold step by step, and take apart whatever is still too large."""
    pieces = np.zeros(n, np.int64)
    for threshold in [*np.unique(links.scores), np.inf]:
        sizes = np.bincount(pieces, minlength=n)
        loose = sizes[pieces] > most
        holds = loose[links.left] & loose[links.right] & (links.scores >= threshold)
        labels = components(n, links.left[holds], links.right[holds])
        pieces = np.where(loose, labels, pieces)
    return pieces


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 60),
    scores=st.integers(1, 12),
    most=st.integers(1, 20),
)
def test_loosening_is_raising_the_threshold(seed: int, n: int, scores: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, n, (2, 3 * n))
    whole = np.arange(1, n)  # a path, so that all is one component
    left, right = np.append(left, whole), np.append(right, whole - 1)
    links = Links(left, right, rng.integers(0, scores, len(left)).astype(float))
    pieces = loosen(n, links, most)
    assert np.array_equal(pieces, loosened_by_steps(n, links, most)) or n <= most
    assert np.bincount(pieces).max() <= most
    order = rng.permutation(len(left))
    assert np.array_equal(pieces, loosen(n, Links(*(side[order] for side in links)), most))


@pytest.mark.parametrize("most", [8, 64, 1000])
def test_families_are_found_whatever_a_piece_may_hold(most: int) -> None:
    rng = np.random.default_rng(2)
    signatures, truth = families(rng, [150, 60, 20, 5, 2, 1], 110)
    links = links_within(signatures, 300, 12)
    false = np.array([np.flatnonzero(truth == family)[0] for family in range(6)])
    bridged = Links(
        np.append(links.left, false[1:]),
        np.append(links.right, false[:-1]),
        np.append(links.scores, np.full(5, 2.0)),
    )
    parts = partition(evidence(), signatures, bridged, most)
    least = [int(np.flatnonzero(truth == family).min()) for family in truth]
    assert parts.tolist() == least


@pytest.mark.parametrize("most", [8, 1000])
def test_the_order_of_links_and_repeated_links_change_nothing(most: int) -> None:
    rng = np.random.default_rng(4)
    signatures, _ = families(rng, [60, 60, 30], 170)
    links = links_within(signatures, 310, 6)
    order = np.concatenate([rng.permutation(len(links.left)), rng.integers(0, 100, 50)])
    again = Links(*(side[order] for side in links))
    turned = Links(again.right, again.left, again.scores)
    parts = partition(evidence(), signatures, links, most)
    for other in (again, turned):
        assert np.array_equal(parts, partition(evidence(), signatures, other, most))


@pytest.mark.parametrize("most", [8, 1000])
def test_what_people_said_holds_in_components_of_any_size(most: int) -> None:
    signatures, truth = families(np.random.default_rng(6), [40, 40], 100)
    links = links_within(signatures, 300, 8)
    one, other = (np.flatnonzero(truth == family) for family in range(2))
    said = Links(
        np.append(links.left, [one[0], one[3]]),
        np.append(links.right, [one[1], other[3]]),
        np.append(links.scores, [-np.inf, np.inf]),
    )
    parts = partition(evidence(), signatures, said, most)
    assert parts[one[0]] != parts[one[1]]
    assert parts[one[3]] == parts[other[3]]


@pytest.mark.parametrize("order", ["forth", "back", "shuffled"])
def test_a_morphing_chain_is_cut_by_fold_and_by_cut(order: str) -> None:
    """A becomes B in 1,000 steps: their sum of evidence is positive, and yet they are apart."""
    apart, turned = 400, 500
    rng = np.random.default_rng(3)
    steps = chain(rng, 1000, turned)
    n = len(steps)
    sequence = {
        "forth": np.arange(n),
        "back": np.arange(n)[::-1],
        "shuffled": rng.permutation(n),
    }[order]
    signatures = steps[sequence]
    links = links_within(signatures, 300, 32)
    fold = Fold(evidence(apart), lambda rows: signatures[rows], 0)
    offsets = np.searchsorted(links.left, np.arange(n + 1))
    fold.fold(Batch(np.full(n, NOBODY), np.arange(n), offsets, links.right, links.scores))
    folded = fold.standing(np.arange(n)).cluster_ids
    cut = partition(evidence(apart), signatures, links, 512)
    between = distances(signatures)
    for labels in (folded, cut):
        assert labels[sequence == 0] != labels[sequence == n - 1]
        assert between[labels[:, None] == labels].max() <= 1.05 * apart
    whole = partition(evidence(), signatures, links, 512)
    assert whole[sequence == 0] == whole[sequence == n - 1], "the bound is what keeps them apart"
