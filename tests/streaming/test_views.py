"""Views in the search, against a loop over pins, their views and everything before them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.index.search import Candidates
from neardup.streaming.candidates import Ended, nearest
from neardup.streaming.views import QueryRows, best_views, merge_views, query_rows

BYTES = 128


def batch(seen: list[int], seed: int = 1) -> tuple[np.ndarray, list[bytes | None], QueryRows]:
    """Queries of so many views each, the column, and their rows."""
    rng = np.random.default_rng(seed)
    queries = rng.integers(0, 256, (len(seen), BYTES), np.uint8)
    views = [rng.bytes(n * BYTES) or None for n in seen]
    return queries, views, query_rows(queries, views)


def candidates(rows: list[tuple[int, int, int]]) -> Candidates:
    query, ordinal, hamming = (np.array([row[i] for row in rows], np.int64) for i in range(3))
    overlap = (7 * query + ordinal).astype(np.int32)  # something to see that columns stay together
    return Candidates(query.astype(np.int32), ordinal, overlap, hamming.astype(np.int32))


SEEN = st.lists(st.sampled_from([0, 1, 3, 7]), max_size=6)


@settings(deadline=None)
@given(seen=SEEN)
def test_rows_are_query_by_query_and_upright_first(seen: list[int]) -> None:
    queries, views, rows = batch(seen)
    expected = [
        (number, view, signature)
        for number, (upright, own) in enumerate(zip(queries, views, strict=True))
        for view, signature in enumerate(
            [upright.tobytes()]
            + [(own or b"")[i : i + BYTES] for i in range(0, len(own or b""), BYTES)]
        )
    ]
    found = zip(
        rows.query.tolist(), rows.view.tolist(), (s.tobytes() for s in rows.signatures), strict=True
    )
    assert list(found) == expected
    assert rows.signatures[rows.first[:-1]].tolist() == queries.tolist()
    assert np.diff(rows.first).tolist() == [1 + n for n in seen]


def test_without_views_the_rows_are_the_queries() -> None:
    queries, _, rows = batch([0, 0, 0])
    assert rows.signatures.tolist() == queries.tolist()
    assert rows.query.tolist() == [0, 1, 2]
    assert rows.first.tolist() == [0, 1, 2, 3]
    ended = Ended(np.array([4]), np.array([7]), np.array([3], np.int32))
    assert rows.ended(ended).at.tolist() == [3]


@settings(deadline=None)
@given(
    seen=SEEN.filter(len),
    before=st.sets(st.integers(0, 9)),
    ends=st.dictionaries(st.integers(0, 9), st.integers(0, 6)),
)
def test_an_end_is_one_for_all_rows_of_a_query(
    seen: list[int], before: set[int], ends: dict[int, int]
) -> None:
    _, _, rows = batch(seen)
    during = sorted(ordinal for ordinal, at in ends.items() if at <= len(seen))
    ended = Ended(
        np.array(sorted(before), np.int64),
        np.array(during, np.int64),
        np.array([ends[ordinal] for ordinal in during], np.int32),
    )
    pairs = [(row, ordinal, 0) for row in range(len(rows.query)) for ordinal in range(10)]
    live = rows.ended(ended).mask(candidates(pairs))
    assert live.tolist() == ended.mask(rows.of_queries(candidates(pairs))).tolist()


@st.composite
def found_by_rows(draw: st.DrawFn) -> tuple[QueryRows, list[tuple[int, int, int]]]:
    """Rows, and candidates (row, ordinal, hamming) of them; few distances, so that many tie."""
    _, _, rows = batch(draw(SEEN.filter(len)))
    pair = st.tuples(st.integers(0, len(rows.query) - 1), st.integers(0, 6), st.integers(0, 4))
    return rows, draw(st.lists(pair, unique_by=lambda row: row[:2], max_size=60))


def merged_by_hand(
    rows: QueryRows, found: list[tuple[int, int, int]], limit: int
) -> list[tuple[int, int, int]]:
    """(row, ordinal, hamming) of the best view of each pair, the nearest ``limit`` of a query."""
    best: dict[tuple[int, int], tuple[int, int, int]] = {}
    for row, ordinal, hamming in found:
        query, view = int(rows.query[row]), int(rows.view[row])
        known = best.get((query, ordinal))
        if known is None or (hamming, view) < known[:2]:
            best[query, ordinal] = (hamming, view, row)
    kept = []
    for query in range(len(rows.first) - 1):
        own = sorted((b[0], o, b[2]) for (q, o), b in best.items() if q == query)
        kept += [(row, ordinal, hamming) for hamming, ordinal, row in own[:limit]]
    return kept


@settings(deadline=None)
@given(drawn=found_by_rows(), limit=st.integers(1, 5))
def test_the_best_view_speaks_for_a_pair(
    drawn: tuple[QueryRows, list[tuple[int, int, int]]], limit: int
) -> None:
    rows, found = drawn
    merged = merge_views(rows, candidates(found), limit)
    expected = merged_by_hand(rows, found, limit)
    columns = zip(
        merged.query.tolist(), merged.ordinal.tolist(), merged.hamming.tolist(), strict=True
    )
    assert list(columns) == expected
    assert merged.overlap.tolist() == [7 * row + ordinal for row, ordinal, _ in expected]
    assert rows.of_queries(merged).query.tolist() == [
        int(rows.query[row]) for row, _, _ in expected
    ]


@settings(deadline=None)
@given(drawn=found_by_rows(), limit=st.integers(1, 5))
def test_the_nearest_of_each_row_are_enough(
    drawn: tuple[QueryRows, list[tuple[int, int, int]]], limit: int
) -> None:
    rows, found = drawn
    of_each_row = nearest(candidates(found), limit)
    merged, whole = (merge_views(rows, some, limit) for some in (of_each_row, candidates(found)))
    assert [c.tolist() for c in merged] == [c.tolist() for c in whole]


def test_nothing_found() -> None:
    _, _, rows = batch([1, 0])
    assert [len(column) for column in merge_views(rows, candidates([]), 3)] == [0, 0, 0, 0]
    nothing = np.empty(0, np.int32)
    assert len(best_views(nothing, nothing, nothing, nothing)) == 0
