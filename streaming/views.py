"""Views in the search: the rows that each new pin is searched for, and one pair made of many.

A new pin is searched for under its upright signature and under those of its views. Only upright
signatures are stored and indexed, so a pair of pins is met by all views of the newer one. The
search treats every signature as a query of its own; here is what turns queries into such *rows*,
and what the rows found back into pairs of pins: of all views the nearest speaks for a pair.

Which pins are indexed is decided by upright signatures alone: a view finds what is indexed when its
pin arrives, and does not change it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.index.search import Candidates
from neardup.index.store import SIGNATURE_BYTES
from neardup.streaming.candidates import Ended, take

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Signatures = npt.NDArray[np.uint8]


class QueryRows(NamedTuple):
    """The r rows that the q new pins of a batch are searched for: query by query, upright first.

    ``signatures`` uint8 [r, 128]; ``query`` int32 [r], ascending, the number of the new pin;
    ``view`` int32 [r], 0 for upright; ``first`` int32 [q + 1]: each query's upright row, and r.
    """

    signatures: Signatures
    query: Int32
    view: Int32
    first: Int32

    def ended(self, ended: Ended) -> Ended:
        """The same ends, counted in rows instead of queries."""
        return replace(ended, at=self.first[ended.at])

    def of_queries(self, found: Candidates) -> Candidates:
        """Candidates of rows as those of the queries that the rows belong to."""
        return found._replace(query=self.query[found.query])


def query_rows(queries: Signatures, views: Sequence[bytes | None]) -> QueryRows:
    """The rows of queries uint8 [q, 128] whose pictures have these views, or None.

    ``views``: signatures one after the other, as in the column of that name of HASHED.
    """
    seen = [np.frombuffer(own or b"", np.uint8).reshape(-1, SIGNATURE_BYTES) for own in views]
    rows = np.array([1 + len(own) for own in seen], np.int64)
    first = np.concatenate([[0], np.cumsum(rows)]).astype(np.int32)
    query = np.repeat(np.arange(len(queries), dtype=np.int32), rows)
    view = np.arange(first[-1], dtype=np.int32) - first[query]
    signatures = np.empty((first[-1], SIGNATURE_BYTES), np.uint8)
    signatures[view == 0] = queries
    signatures[view > 0] = np.concatenate([*seen, np.empty((0, SIGNATURE_BYTES), np.uint8)])
    return QueryRows(signatures, query, view, first)


def merge_views(rows: QueryRows, found: Candidates, limit: int) -> Candidates:
    """Of the candidates of rows, the one that speaks for each (query, older pin); still by row.

    Kept are the ``limit`` nearest older pins of each query, sorted by (query, hamming, ordinal). It
    is enough that ``found`` holds the ``limit`` nearest of each row: whatever pushed a pair out of
    its best row's share is nearer to the query than that pair.
    """
    own = rows.of_queries(found)
    best = best_views(own.query, own.ordinal, own.hamming, rows.view[found.query])
    order = best[np.lexsort((own.ordinal[best], own.hamming[best], own.query[best]))]
    query = own.query[order]
    rank = np.arange(len(order)) - np.searchsorted(query, query)
    return take(found, order[rank < limit])


def best_views(
    query: npt.NDArray[Any], ordinal: npt.NDArray[Any], hamming: Int32, view: npt.NDArray[Any]
) -> Int64:
    """Of candidates of several views the best of each (query, ordinal): their index, int64 [m].

    The best has the fewest differing bits; of equal ones the lowest view, which is upright. All
    arrays are of one length; sorted by (query, ordinal).
    """
    order = np.lexsort((view, hamming, ordinal, query))
    first = np.ones(len(order), np.bool_)
    first[1:] = (np.diff(query[order]) != 0) | (np.diff(ordinal[order]) != 0)
    return order[first]
