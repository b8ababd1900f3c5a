"""Which candidates survive: ended pins and the nearest of many, against loops."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.index.search import Candidates, Found, Work
from neardup.streaming.candidates import Ended, gather, nearest


def candidates(rows: list[tuple[int, int, int]]) -> Candidates:
    query, ordinal, hamming = (np.array([row[i] for row in rows], np.int64) for i in range(3))
    return Candidates(
        query.astype(np.int32), ordinal, np.ones(len(rows), np.int32), hamming.astype(np.int32)
    )


PAIRS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 9), st.integers(0, 3)),
    unique_by=lambda row: row[:2],
    max_size=40,
)


@settings(deadline=None)  # the first call compiles
@given(rows=PAIRS, limit=st.integers(1, 5))
def test_nearest(rows: list[tuple[int, int, int]], limit: int) -> None:
    kept = nearest(candidates(rows), limit)
    expected = []
    for query in range(5):
        own = sorted((hamming, ordinal) for q, ordinal, hamming in rows if q == query)
        expected += [(query, ordinal, hamming) for hamming, ordinal in own[:limit]]
    found = zip(kept.query.tolist(), kept.ordinal.tolist(), kept.hamming.tolist(), strict=True)
    assert list(found) == expected


@settings(deadline=None)  # the first call compiles
@given(
    rows=PAIRS,
    before=st.sets(st.integers(0, 9)),
    during=st.dictionaries(st.integers(0, 9), st.integers(0, 4)),
)
def test_ended_pins_match_nothing_from_their_end_on(
    rows: list[tuple[int, int, int]], before: set[int], during: dict[int, int]
) -> None:
    ended = Ended(
        np.array(sorted(before), np.int64),
        np.array(sorted(during), np.int64),
        np.array([during[ordinal] for ordinal in sorted(during)], np.int32),
    )
    live = ended.mask(candidates(rows))
    expected = [o not in before and not (o in during and during[o] <= q) for q, o, _ in rows]
    assert live.tolist() == expected


@settings(deadline=None)  # the first call compiles
@given(rows=PAIRS, limit=st.integers(1, 3), copies=st.integers(1, 9), at_once=st.integers(1, 20))
def test_gathering_by_slices_is_gathering_at_once(
    rows: list[tuple[int, int, int]], limit: int, copies: int, at_once: int
) -> None:
    """Queries are told apart by their first byte; enough of them for several slices."""
    queries = np.tile(np.arange(5, dtype=np.uint8)[:, None], (copies, 128))
    nobody = np.empty(0, np.int64)
    ended = Ended(nobody, nobody, nobody.astype(np.int32))

    def find(some: np.ndarray) -> Found:
        hits = [
            (i, ordinal, hamming)
            for i, query in enumerate(some)
            for q, ordinal, hamming in rows
            if q == query[0]
        ]
        return Found(candidates(hits), Work(0, 0, 0, 0), len(some))

    sliced = gather(queries, ended, limit, lambda some: find(some[:at_once]))
    whole = nearest(find(queries).candidates, limit)
    assert [column.tolist() for column in sliced] == [column.tolist() for column in whole]
