"""What floods the stream now: a picture that is posted again and again, a term that fills.

The newest pins are compared with as many before them. Copies are answered for by an exemplar and
cost no place in the index; unlike pictures that are poor in features, such as blanks with some
noise, crowd the lists of a term instead.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neardup.index.crowding import fullest
from neardup.index.plans import current_plan
from neardup.index.store import stacked
from neardup.schemas.lake import Lake

RECENT = 10_000
LEAST_SHARE, LEAST_PINS = 0.01, 20
"""What has a smaller part of the newest pins, or fewer of them, floods nobody."""


@dataclass(frozen=True)
class Flood:
    """``pins`` of the newest ones, a ``share`` of them all, that are like the pin ``pin_id``;
    ``before``: of as many before them. ``source``: of most of them. ``what``: "picture", they are
    its copies; "term", they share a list of the index, of whose pins it is the first."""

    what: str
    pin_id: str
    pins: int
    share: float
    before: int
    source: str | None


def floods(lake: Lake, recent: int = RECENT, limit: int = 5) -> list[Flood]:
    """Pictures with most copies first, then the fullest list if it has grown."""
    (row,) = lake.rows("SELECT coalesce(max(ordinal), -1) AS last FROM pins")
    last = row["last"]
    if last < 0:
        return []
    window = min(recent, last + 1)
    found = [*_pictures(lake, last, window, limit), *_terms(lake, last, window)]
    return [flood for flood in found if flood.share >= LEAST_SHARE and flood.pins >= LEAST_PINS]


def _pictures(lake: Lake, last: int, window: int, limit: int) -> list[Flood]:
    rows = lake.rows(
        """WITH newest AS (
            SELECT coalesce(exemplar, ordinal) AS exemplar, source, ordinal > $begin AS new
            FROM pins WHERE kind = 'add' AND ordinal > $begin - $window
        ), crowds AS (
            SELECT exemplar, count(*) FILTER (new) AS pins, count(*) FILTER (NOT new) AS before,
                   mode(source) FILTER (new) AS source
            FROM newest GROUP BY exemplar ORDER BY pins DESC, exemplar LIMIT $limit
        )
        SELECT pin_id, crowds.* FROM crowds JOIN pins ON ordinal = crowds.exemplar
        WHERE crowds.pins > 1 ORDER BY crowds.pins DESC, crowds.exemplar""",
        {"begin": last - window, "window": window, "limit": limit},
    )
    return [
        Flood(
            "picture",
            row["pin_id"],
            row["pins"],
            row["pins"] / window,
            row["before"],
            row["source"],
        )
        for row in rows
    ]


def _terms(lake: Lake, last: int, window: int) -> list[Flood]:
    """The fullest list of indexed pins, if it has more than doubled."""
    rows = lake.rows(
        """SELECT pin_id, ordinal, signature, source FROM pins
        WHERE kind = 'add' AND exemplar IS NULL AND ordinal > $begin ORDER BY ordinal""",
        {"begin": last - 2 * window},
    )
    new = [row for row in rows if row["ordinal"] > last - window]
    old = rows[: len(rows) - len(new)]
    if not old:
        return []
    bucket = fullest(current_plan(lake), _signatures(new), _signatures(old))
    if bucket is None or len(bucket.rows) <= 2 * bucket.before:
        return []
    pins = [new[i] for i in bucket.rows.tolist()]
    sources = [row["source"] for row in pins]
    source = max(set(sources), key=sources.count)
    share = len(pins) / window
    return [Flood("term", pins[0]["pin_id"], len(pins), share, bucket.before, source)]


def _signatures(rows: list[dict[str, bytes]]) -> npt.NDArray[np.uint8]:
    return stacked([row["signature"] for row in rows])
