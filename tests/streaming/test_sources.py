"""Rows of a corpus by number: pieces, shares, and where a run that was cut off goes on."""

from hypothesis import given
from hypothesis import strategies as st

from neardup.streaming.sources import Piece, fingerprint, pieces, rows_decided, shares

SIZES = st.lists(st.integers(0, 9), max_size=12)


def numbered(sizes: list[int]) -> list[tuple[int, int]]:
    """(part, row in it) of every row, one after the other."""
    return [(part, row) for part, size in enumerate(sizes) for row in range(size)]


@given(SIZES, st.data())
def test_pieces_are_the_rows_asked_for_in_order(sizes: list[int], data: st.DataObject) -> None:
    rows = numbered(sizes)
    begin = data.draw(st.integers(0, len(rows)))
    end = data.draw(st.integers(begin, len(rows)))
    found = pieces(sizes, begin, end)
    assert rows[begin:end] == [(p.part, row) for p in found for row in range(p.first, p.end)]
    assert all(piece.first < piece.end for piece in found)


def test_a_batch_over_three_files() -> None:
    assert pieces([5, 0, 2, 9], 3, 10) == [Piece(0, 3, 5), Piece(2, 0, 2), Piece(3, 0, 3)]


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 9))
def test_shares_differ_by_one_row_at_most(begin: int, length: int, count: int) -> None:
    found = shares(begin, begin + length, count)
    sizes = [end - first for first, end in found]
    assert [row for first, end in found for row in range(first, end)] == [
        *range(begin, begin + length)
    ]
    assert len(found) == min(count, length)
    assert not sizes or max(sizes) - min(sizes) <= 1


@given(SIZES, st.sets(st.integers(0, 99)), st.data())
def test_a_run_goes_on_after_what_is_in_the_log_or_in_quarantine(
    sizes: list[int], unusable: set[int], data: st.DataObject
) -> None:
    """Cut off in a batch whose quarantine is committed, and its pins are not."""
    rows = numbered(sizes)
    done = data.draw(st.integers(0, len(rows)))
    bad = {row for number, row in enumerate(rows) if number in unusable}
    positions = {part: row for part, row in rows[:done] if (part, row) not in bad}
    refused = bad & set(rows[: done + 3])
    found = rows_decided(sizes, positions, refused)
    assert found >= done
    assert set(rows[done:found]) <= refused
    assert found == len(rows) or rows[found] not in refused


def test_parts_of_which_nothing_could_be_used_are_passed_over() -> None:
    assert rows_decided([10, 10, 10], {0: 7, 2: 3}) == 24
    assert rows_decided([2, 0, 3], {}, {(0, 0), (0, 1), (2, 0)}) == 3
    assert rows_decided([2, 0, 3], {}, {(0, 1)}) == 0, "the first row is in neither table"


def test_a_fingerprint_tells_lists_apart_that_have_the_same_text() -> None:
    assert fingerprint(["a", "b"]) != fingerprint(["ab"]) != fingerprint(["b", "a"])
    assert fingerprint(["a", 1, b"x"]) == fingerprint(["a", 1, b"x"])
    assert fingerprint(["a"]).startswith("backfill:")
