"""How many events a batch may hold, so that it takes about as long as it should.

A calm stream needs no limit: a batch holds what came during the one before it, so batches are
small. A stream that is behind would get all that waits at once; the limit cuts that into batches of
the target time, large enough that what a batch costs by itself hardly counts.
"""

from collections.abc import Sequence
from typing import NamedTuple

GROWTH = 4.0
"""At most so much larger in one step: what a batch costs by itself hides what its events cost."""
WORTH = 1.5
"""A limit within this factor of the better one is kept: another one costs a restart of the query,
half a second."""


class Seen(NamedTuple):
    """A batch that was done."""

    events: int
    seconds: float


class Bounds(NamedTuple):
    """Seconds that a full batch should take, and the least and most that it may hold: most wins."""

    seconds: float
    least: int
    most: int


def first_limit(first: int, bounds: Bounds) -> int:
    """``first`` within the bounds: before anything was seen."""
    return min(max(first, bounds.least), bounds.most)


def next_limit(limit: int, seen: Sequence[Seen], bounds: Bounds) -> int:
    """The limit from now on, after batches that ran under ``limit``.

    The last two that say something decide, and the faster of them: one hiccup is no reason. Those
    say something that were at least half full, or took too long.
    """
    telling = [
        batch for batch in seen if 2 * batch.events >= limit or batch.seconds > bounds.seconds
    ][-2:]
    if len(telling) < 2:
        return limit
    rate = max(batch.events / max(batch.seconds, 1e-3) for batch in telling)
    better = min(rate * bounds.seconds, GROWTH * limit)
    better = round(max(min(bounds.least, bounds.most), min(better, bounds.most)))
    return better if max(better, limit) >= WORTH * min(better, limit) else limit
