import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.index.hamming import pairs_within
from neardup.index.search import overlap, search
from neardup.index.segment import decode_segment, k_for
from neardup.index.terms import Bands

SIZES = [0, 1, 2, 255, 256, 257, 4096]


def rows(columns):
    return list(zip(*(column.tolist() for column in columns), strict=True))


def oracle(queries, signatures, first, radius, min_overlap):
    """Every pair in the radius by brute force, kept if it shares enough terms."""
    query, pin, hamming = pairs_within(queries, signatures, radius)
    shared = overlap(queries[query], signatures[pin], Bands(), k_for(len(signatures)))
    keep = shared >= max(min_overlap, 1)
    return rows((query[keep], pin[keep].astype(np.int64) + first, shared[keep], hamming[keep]))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("ones", [0.5, 0.85])
def test_search_is_brute_force_over_pairs_that_share_a_term(make_signatures, make_segment, n, ones):
    signatures = make_signatures(n, n + 1, ones)
    segment = decode_segment(*make_segment(signatures, first=10**10))
    near = signatures[:30].copy()
    near[:, :3] ^= 0x5A
    queries = np.concatenate([near, make_signatures(10, 9, ones)])
    for radius in (0, 300, 512):
        found = search(segment, queries, radius)
        assert rows(found.candidates) == oracle(queries, signatures, 10**10, radius, 1)
        assert found.work.postings >= found.work.touched >= len(found.candidates.query)


@settings(deadline=None, max_examples=15)
@given(
    n=st.integers(0, 400),
    q=st.integers(0, 40),
    min_overlap=st.integers(0, 128),
    ones=st.sampled_from([0.02, 0.5, 0.8, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_search_with_any_minimum_overlap(
    make_signatures, make_segment, n, q, min_overlap, ones, seed
):
    signatures = make_signatures(n, seed, ones)
    queries = np.concatenate([signatures, make_signatures(q, seed + 1, ones)])[-q:] if q else None
    queries = make_signatures(0, 0) if queries is None else queries
    segment = decode_segment(*make_segment(signatures, first=5))
    found = search(segment, queries, 330, min_overlap)
    assert rows(found.candidates) == oracle(queries, signatures, 5, 330, min_overlap)


@settings(deadline=None, max_examples=20)
@given(k=st.integers(1, 24), flips=st.floats(0, 0.3), seed=st.integers(0, 2**32 - 1))
def test_overlap_counts_equal_terms(make_signatures, k, flips, seed):
    left = make_signatures(30, seed)
    noise = np.random.default_rng(seed).random((30, 1024)) < flips
    right = left ^ np.packbits(noise, axis=1)
    bands = Bands()
    equal = bands.terms(left, k) == bands.terms(right, k)
    assert overlap(left, right, bands, k).tolist() == equal.sum(axis=0).tolist()


def test_overlap_wants_pairs(make_signatures):
    with pytest.raises(ValueError, match="on the left"):
        overlap(make_signatures(2, 1), make_signatures(3, 1), Bands(), 8)


def test_equal_pictures_all_find_each_other(make_segment):
    signatures = np.full((300, 128), 200, np.uint8)
    segment = decode_segment(*make_segment(signatures))
    found = search(segment, signatures[:4], 0)
    assert len(found.candidates.query) == 4 * 300
    assert set(found.candidates.overlap.tolist()) == {128}
    assert found.work == (4 * 300 * 128, 4 * 300, 4 * 300)


def test_recall_over_the_distances_links_have(make_segment):
    """Planted neighbours: 11 % flips at the median, 21 % at the 90th percentile, 27 at the 99th."""
    rng = np.random.default_rng(4)
    n = 4096
    bits = rng.random((n, 1024)) < 0.5
    flips = np.interp(rng.random(n), [0, 0.5, 0.9, 0.99, 1], [0, 0.11, 0.21, 0.27, 0.30])
    queries = np.packbits(bits ^ (rng.random((n, 1024)) < flips[:, None]), axis=1)
    segment = decode_segment(*make_segment(np.packbits(bits, axis=1)))
    found = search(segment, queries, 1024).candidates
    assert (found.query == found.ordinal).sum() / n >= 0.99
