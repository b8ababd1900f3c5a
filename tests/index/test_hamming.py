import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.index.hamming import distances, pairs_within, pairs_within_batch

SIZES = [0, 1, 2, 255, 256, 257, 600]


def table(left, right):
    """All distances, [q, n], by numpy."""
    return np.bitwise_count(left[:, None] ^ right[None]).sum(axis=2, dtype=np.int64)


def rows(pairs):
    return list(zip(*(column.tolist() for column in pairs), strict=True))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("ones", [0.5, 0.9])
def test_pairs_within_is_the_whole_table(make_signatures, n, ones):
    queries, corpus = make_signatures(7, 1, ones), make_signatures(n, 2, ones)
    corpus[: min(n, 7)] = queries[: min(n, 7)]
    expected = table(queries, corpus)
    for radius in (-1, 0, 200, 500, 1024):
        where = np.argwhere(expected <= radius)
        assert rows(pairs_within(queries, corpus, radius)) == [
            (q, c, expected[q, c]) for q, c in where.tolist()
        ]


@settings(deadline=None, max_examples=20)
@given(n=st.integers(0, 600), radius=st.integers(0, 1024), seed=st.integers(0, 2**32 - 1))
def test_pairs_within_a_batch_come_once(make_signatures, n, radius, seed):
    batch = make_signatures(n, seed)
    expected = table(batch, batch)
    where = np.argwhere(np.tril(expected <= radius, -1))
    assert rows(pairs_within_batch(batch, radius)) == [
        (i, j, expected[i, j]) for i, j in where.tolist()
    ]


def test_a_batch_of_equal_pictures():
    batch = np.full((300, 128), 77, np.uint8)
    found = pairs_within_batch(batch, 0)
    assert len(found.query) == 300 * 299 // 2 and (found.query > found.corpus).all()


def test_distances_row_by_row(make_signatures):
    left, right = make_signatures(100, 1), make_signatures(100, 2)
    assert (distances(left, right) == np.diagonal(table(left, right))).all()
    assert distances(left[::2], right[1::2]).shape == (50,)


def test_wrong_shapes_are_refused(make_signatures):
    with pytest.raises(ValueError, match=r"uint8 \[n, 128\]"):
        pairs_within(make_signatures(2, 1)[:, :64], make_signatures(2, 1), 10)
    with pytest.raises(ValueError, match="on the left"):
        distances(make_signatures(2, 1), make_signatures(3, 1))
