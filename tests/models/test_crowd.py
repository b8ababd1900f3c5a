"""How crowded it is around a signature, against sorting all distances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.models.classifier import crowding
from neardup.models.crowd import NOBODY, crowd_distance


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(11, 60), ones=st.floats(0.01, 0.5))
@settings(max_examples=30, deadline=None)
def test_the_sum_of_ranks_three_to_ten(seed: int, size: int, ones: float) -> None:
    rng = np.random.default_rng(seed)
    drawn = np.packbits(rng.random((size + 9, 1024)) < ones, axis=1)
    crowd, signatures = drawn[:size], drawn[[*range(4), *range(size, size + 9)]]
    own = np.array([0, 1, 2, 3, *[NOBODY] * 9])
    table = np.bitwise_count(signatures[:, None] ^ crowd[None]).sum(axis=2, dtype=np.int64)
    plain = np.sort(table, axis=1)[:, 2:10].sum(axis=1)
    np.testing.assert_array_equal(crowd_distance(signatures, crowd), plain)
    table[np.arange(4), np.arange(4)] = 1024
    without = np.sort(table, axis=1)[:, 2:10].sum(axis=1)
    np.testing.assert_array_equal(crowd_distance(signatures, crowd, own), without)


def test_a_pair_has_the_sum_of_both_sides() -> None:
    rng = np.random.default_rng(1)
    crowd, left, right = (rng.integers(0, 256, (30, 128), dtype=np.uint8) for _ in range(3))
    left[3:9] = left[2]
    right[5] = left[2]
    expected = crowd_distance(left, crowd) + crowd_distance(right, crowd)
    np.testing.assert_array_equal(crowding(crowd, left, right), expected)
    assert len(crowding(crowd, left[:0], right[:0])) == 0


def test_a_small_crowd_is_refused() -> None:
    some = np.zeros((10, 128), np.uint8)
    with pytest.raises(ValueError, match="a crowd of 10"):
        crowd_distance(some, some)
