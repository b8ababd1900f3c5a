"""Look-ups by a search and by a table give one answer."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neardup.clusters.ascending import among, place

NUMBERS = st.integers(-30, 30) | st.integers(-(2**62), 2**62)


@given(known=st.sets(NUMBERS), values=st.lists(NUMBERS | st.integers(-9, 9)))
def test_what_is_found_is_there(known: set[int], values: list[int]) -> None:
    ascending, wanted = np.array(sorted(known), np.int64), np.array(values, np.int64)
    found = among(ascending, wanted)
    assert found.tolist() == [value in known for value in values]
    assert (ascending[place(ascending, wanted)[found]] == wanted[found]).all()
    if known:
        assert set(place(ascending, wanted).tolist()) <= set(range(len(known)))
