"""What a query costs under every plan of so many bands, and what it finds.

Expected seconds = words + probes + entries + counts + distances + scores, each the number of times
that ``index.curves`` counted on a sample, scaled to the pins of a segment, times its price.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.index.costs import Costs
from neardup.index.curves import OVERLAPS, TERM_BITS, Curve
from neardup.index.postings import MAX_PINS, directory_bits
from neardup.index.sample import Sample
from neardup.index.store import SIGNATURE_BYTES
from neardup.index.terms import TermPlan

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FEWEST_TAIL_FLIPS = 6
FEWEST_PINS = 16_384
"""Fewer pins are priced as so many: there a query takes microseconds under any plan."""

PIN_BYTES = SIGNATURE_BYTES + 8 + 24
"""Of a pin in a decoded segment beside its entries: signature, ordinal, hash of its id."""

SLOWER, TOO_LARGE, TOO_BLIND = "slower", "too many bytes", "recall too low"


@dataclass(frozen=True)
class Wanted:
    """``recall`` over the links, in at most ``bytes_per_pin`` of memory, at ``pins`` pins.

    ``segments``: the pins of each, if they are not as few as can be. ``max_scored``: how many pairs
    of a query are scored at most. ``seed``: of the bands.
    """

    pins: int
    recall: float = 0.99
    bytes_per_pin: float = 1024.0
    segments: tuple[int, ...] = ()
    max_scored: int = 32
    seed: int = 2018

    @property
    def sizes(self) -> list[int]:
        """The pins of each segment."""
        if self.segments:
            return [max(n, 1) for n in self.segments]
        pins = max(self.pins, FEWEST_PINS)
        count = -(-pins // MAX_PINS)
        return [-(-pins // count)] * count


class Weighed(NamedTuple):
    """A plan, the share of links it finds, what a query does, and how long it takes in seconds.

    ``probes``: lists looked up; ``entries`` read; pins ``counted``; distances taken of those
    ``compared``; pairs ``scored``. ``error``: relative standard error of entries and of compared,
    the greater.
    """

    plan: TermPlan
    recall: float
    probes: float
    entries: float
    counted: float
    compared: float
    scored: float
    error: float
    seconds: float
    bytes_per_pin: float
    verdict: str


class Work(NamedTuple):
    """Of a query, float64 by overlap - 1, k - 12, f, t, axes of length 1 where they do not matter:

    ``probes`` and ``entries`` [1, 13, 2, 1], ``counted`` [1, 13, 2, 33], ``compared`` and
    ``scored`` [2, 13, 2, 33].
    """

    probes: Float64
    entries: Float64
    counted: Float64
    compared: Float64
    scored: Float64


def work(curve: Curve, within: float, n: int) -> Work:
    """In a segment of ``n`` pins; ``within``: the share of unrelated pairs in the radius."""
    d = np.array([directory_bits(n, k) for k in TERM_BITS])
    probes = curve.bands * np.stack([np.ones(len(d)), 1.0 + d], axis=1)
    entries = n * curve.random.matches[np.maximum(d - TERM_BITS[0], 0)]
    return Work(
        probes=probes[None, :, :, None],
        entries=entries[None, :, :, None],
        counted=n * curve.random.found[:1],
        compared=n * curve.random.found * np.array(OVERLAPS).reshape(-1, 1, 1, 1),
        scored=n * within * curve.near.found,
    )


def seconds(costs: Costs, bands: int, done: Work, n: int) -> Float64:
    """Of the search of a query in a segment of ``n`` pins, [2, 13, 2, 33]; without scoring."""
    size = 8.0 * bands * n
    probe = np.array([price.at(size) for price in costs.probe])[None, None, :, None]
    total = done.probes * probe + done.entries * costs.entry.at(size)
    signatures = float(SIGNATURE_BYTES) * n
    total = total + done.counted * costs.count.at(signatures)
    return np.asarray(total + done.compared * costs.distance.at(signatures))


def bytes_per_pin(bands: int, sizes: list[int]) -> Float64:
    """Memory of a pin in decoded segments float64 [13], by k: entries, directory, PIN_BYTES."""
    lists = np.array([[1 << directory_bits(n, k) for k in TERM_BITS] for n in sizes])
    return np.asarray(8 * bands + 4 * bands * lists.sum(axis=0) / sum(sizes) + PIN_BYTES)


class Grid:
    """All plans of ``bands`` bands. Masks and arrays are [2, 13, 2, 33]: overlap, k, f, t.

    ``all``: those worth weighing; ``sees``: of them, those with the recall; ``small``: those within
    the bytes; ``fits``: both.
    """

    def __init__(self, sample: Sample, costs: Costs, wanted: Wanted, bands: int) -> None:
        self._bands, self._wanted = bands, wanted
        self._curve = sample.curve(bands, wanted.seed)
        parts = [work(self._curve, sample.within, n) for n in wanted.sizes]
        self._work = Work(*(np.sum(column, axis=0) for column in zip(*parts, strict=True)))
        scored = np.minimum(self._work.scored, wanted.max_scored)
        self._work = self._work._replace(scored=scored)
        self._seconds = bands * costs.word + scored * costs.score
        for part, n in zip(parts, wanted.sizes, strict=True):
            self._seconds = self._seconds + seconds(costs, bands, part, n)
        self._recall = self._curve.links.found
        self._bytes = bytes_per_pin(bands, wanted.sizes)
        self.all = np.zeros(self._seconds.shape, bool)
        self.all[..., FEWEST_TAIL_FLIPS:] = True
        self.sees = self.all & (self._recall >= wanted.recall)
        self.small = self.all & (self._bytes <= wanted.bytes_per_pin)[None, :, None, None]
        self.fits = self.sees & self.small

    def with_flips(self, flips: int) -> Mask:
        """The plans with so many flips of the term."""
        mask = np.zeros(self.all.shape, bool)
        mask[:, :, flips] = self.all[:, :, flips]
        return mask

    def fastest(self, among: Mask) -> list[Weighed]:
        """The fastest plan of a mask, or none."""
        if not among.any():
            return []
        return [self._row(int(np.where(among, self._seconds, np.inf).argmin()))]

    def most_recall(self, among: Mask) -> list[Weighed]:
        """The plan of a mask that finds most, the fastest of equals; or none."""
        if not among.any():
            return []
        return self.fastest(among & (self._recall >= self._recall[among].max()))

    def weighed(self, plan: TermPlan) -> Weighed:
        """One plan of these bands and this seed."""
        if plan.term_bits not in TERM_BITS or plan.min_overlap not in OVERLAPS:
            raise ValueError(
                f"{plan} cannot be weighed: term_bits must be {TERM_BITS[0]} to {TERM_BITS[-1]}, "
                "min_overlap 1 or 2"
            )
        place = OVERLAPS.index(plan.min_overlap), TERM_BITS.index(plan.term_bits)
        at = (*place, plan.flips, plan.tail_flips)
        return self._row(int(np.ravel_multi_index(at, self._seconds.shape)))

    def _row(self, flat: int) -> Weighed:
        at = tuple(int(i) for i in np.unravel_index(flat, self._seconds.shape))
        overlap, k, f, t = at
        plan = TermPlan(self._bands, TERM_BITS[k], f, t, OVERLAPS[overlap], self._wanted.seed)
        shape, error = self._seconds.shape, self._curve.error
        done = Work(*(np.broadcast_to(part, shape)[at] for part in self._work))
        return Weighed(
            plan=plan,
            recall=float(self._recall[at]),
            probes=float(done.probes),
            entries=float(done.entries),
            counted=float(done.counted),
            compared=float(done.compared),
            scored=float(done.scored),
            error=float(max(error.matches[k, f], error.found[at])),
            seconds=float(self._seconds[at]),
            bytes_per_pin=float(self._bytes[k]),
            verdict=self._verdict(at),
        )

    def _verdict(self, at: tuple[int, ...]) -> str:
        if self._recall[at] < self._wanted.recall:
            return TOO_BLIND
        return SLOWER if self._bytes[at[1]] <= self._wanted.bytes_per_pin else TOO_LARGE
