from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.index.varbyte import decode, encode

spread = st.lists(st.integers(0, 2**32 - 1), max_size=20).map(sorted)
gaps = st.integers(0, 127) | st.integers(0, 127) | st.sampled_from([128, 16_383, 16_384, 2**24])
dense = st.lists(gaps, max_size=60).map(lambda gaps: list(accumulate(gaps)))
lists = st.lists(spread | dense, max_size=10)


def flatten(values):
    flat = np.array([value for one in values for value in one], np.uint32)
    offsets = np.cumsum([0, *map(len, values)]).astype(np.uint32)
    return flat, offsets


def oracle(values):
    """The format, written down as plainly as possible."""
    out = bytearray()
    for one in values:
        for previous, value in zip([0, *one], one, strict=False):
            gap = value - previous
            while gap > 127:
                out.append(gap % 128 + 128)
                gap //= 128
            out.append(gap)
    return bytes(out)


@settings(deadline=None)
@given(lists)
def test_round_trip_in_the_documented_format(values):
    flat, offsets = flatten(values)
    data = encode(flat, offsets)
    assert data.tobytes() == oracle(values)
    assert decode(data, offsets).tolist() == flat.tolist()


@settings(deadline=None)
@given(lists.filter(any), st.data())
def test_truncated_or_longer_data_is_refused(values, data):
    flat, offsets = flatten(values)
    whole = encode(flat, offsets)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ValueError, match="ends inside"):
        decode(whole[:cut], offsets)
    with pytest.raises(ValueError, match="follow the last"):
        decode(np.append(whole, np.uint8(0)), offsets)


@pytest.mark.parametrize(
    ("values", "size"), [([], 0), ([0], 1), ([127], 1), ([128], 2), ([2**32 - 1], 5), ([7] * 9, 9)]
)
def test_sizes(values, size):
    flat = np.array(values, np.uint32)
    assert len(encode(flat)) == size


def test_damage_that_still_has_the_right_length():
    one = np.array([0, 1], np.uint32)
    with pytest.raises(ValueError, match="more than five bytes"):
        decode(np.full(6, 255, np.uint8), one)
    with pytest.raises(ValueError, match="beyond the limit"):
        decode(np.array([100], np.uint8), one, limit=99)


def test_descending_lists_and_wrong_offsets_are_refused():
    with pytest.raises(ValueError, match="ascend"):
        encode(np.array([2, 1], np.uint32))
    with pytest.raises(ValueError, match="offsets end at 3"):
        encode(np.array([1], np.uint32), np.array([0, 3], np.uint32))
