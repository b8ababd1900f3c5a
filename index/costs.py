"""What the steps of a search cost on a machine, in seconds.

Memory read at random costs more the larger it is, as less of it is in a cache: 3 ns in 8 MB, 13 in
128 MB, 30 in 1.3 GB were measured. So the price of a step depends on the bytes that it reads in.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np


class Price(NamedTuple):
    """Seconds of a step by the bytes of what it reads, at ascending sizes."""

    bytes: tuple[float, ...]
    seconds: tuple[float, ...]

    def at(self, size: float) -> float:
        """Linear in the logarithm of the size; beyond the largest as between the last two."""
        logs, x = np.log2(self.bytes), np.log2(max(size, 1))
        inside = float(np.interp(x, logs, self.seconds))
        if x <= logs[-1] or len(logs) < 2:
            return inside
        slope = (self.seconds[-1] - self.seconds[-2]) / (logs[-1] - logs[-2])
        return inside + max(float(slope * (x - logs[-1])), 0.0)


@dataclass(frozen=True)
class Costs:
    """Seconds of each step of ``index.search``, and of what comes after it.

    ``word``: a band's word of a query. ``probe``: a list looked up, if only the term's own is, and
    if those one bit away are too (neighbours share cache lines). ``entry``: an entry compared; both
    by the bytes of all entries. ``count``: a match counted, and put in its place among others;
    ``distance``: a distance taken; both by the bytes of all signatures. ``score``: a pair scored.
    """

    word: float
    probe: tuple[Price, Price]
    entry: Price
    count: Price
    distance: Price
    score: float

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Costs":
        """What ``to_json`` wrote. Raises ValueError, KeyError or TypeError if it is not that."""
        raw = json.loads(text)
        own, flipped = (_price(one) for one in raw["probe"])
        return cls(
            word=float(raw["word"]),
            probe=(own, flipped),
            entry=_price(raw["entry"]),
            count=_price(raw["count"]),
            distance=_price(raw["distance"]),
            score=float(raw["score"]),
        )


def _price(raw: Any) -> Price:
    sizes, seconds = (tuple(float(value) for value in column) for column in raw)
    if not sizes or len(sizes) != len(seconds) or sizes[0] <= 0 or list(sizes) != sorted(sizes):
        raise ValueError(f"{raw} is no price: ascending sizes, and as many seconds")
    return Price(sizes, seconds)
