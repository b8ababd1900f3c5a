"""This machine's price of each step of a search, from a few searches of made-up segments.

Each search takes nearly all its time for one step: lists of few entries none of which matches, long
lists, entries that all match but overlap too little, pins that are all compared. It is
``index.search`` that runs, so a change of it shows here. Two or three seconds, and 700 MiB for the
largest segment.
"""

import math
import mmap
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.index.costs import Costs, Price
from neardup.index.postings import PIN_BITS
from neardup.index.search import Work, search
from neardup.index.segment import Segment
from neardup.index.store import SIGNATURE_BYTES
from neardup.index.terms import TAIL_BITS, TermPlan

PINS = (2**14, 2**17, 2**20)
SCORE_SECONDS = 7e-6
"""A pair scored by the bundled classifier, one process: `neardup bench smoke`."""

Clock = Callable[[], float]

_BANDS = 64
_SHORT, _LONG = 4, 64  # entries a list: as ``postings.directory_bits`` has it, as skew makes it
_REPEATS = 24
_QUERIES = 128  # about a millisecond: short enough to be left alone by other processes once
_LEAST = 5e-10  # seconds of a step: less is noise


def calibrate(
    score: float = SCORE_SECONDS, pins: tuple[int, ...] = PINS, clock: Clock = time.thread_time
) -> Costs:
    """Measure with segments of ``pins``, ascending powers of two of 2^10 at least.

    ``score``: the seconds that the caller's classifier takes for a pair. The clock counts what this
    thread takes, so that a busy machine is measured as an idle one.
    """
    steps = [_measured(n, clock) for n in pins]
    entries = tuple(8.0 * _BANDS * n for n in pins)
    signatures = tuple(float(SIGNATURE_BYTES * n) for n in pins)
    return Costs(
        word=_word(clock),
        probe=(
            Price(entries, tuple(step.probe for step in steps)),
            Price(entries, tuple(step.neighbour for step in steps)),
        ),
        entry=Price(entries, tuple(step.entry for step in steps)),
        count=Price(signatures, tuple(step.counting for step in steps)),
        distance=Price(signatures, tuple(step.distance for step in steps)),
        score=score,
    )


class _Steps(NamedTuple):
    """Prices in seconds."""

    probe: float
    neighbour: float
    entry: float
    counting: float
    distance: float


class _Run(NamedTuple):
    seconds: float
    work: Work

    @property
    def entries(self) -> int:
        return self.work.entries


def _measured(n: int, clock: Clock) -> _Steps:
    """The prices in a segment of ``n`` pins: each from one search, less what others explain.

    A tail of 32 random bits never agrees in all of them, and always in none.
    """
    made_up = _MadeUp(n)
    short, long = (made_up.bits(length) for length in (_SHORT, _LONG))
    own, flipped, longer, counted, compared = made_up.run(
        clock,
        [
            TermPlan(_BANDS, short, 0, 0),
            TermPlan(_BANDS, short, 1, 0),
            TermPlan(_BANDS, long, 0, 0),
            TermPlan(_BANDS, long, 0, TAIL_BITS, min_overlap=_BANDS),
            TermPlan(_BANDS, long, 0, TAIL_BITS),
        ],
    )
    entry = max((longer.seconds - own.seconds) / (longer.entries - own.entries), _LEAST)
    counting = max(_more(counted, longer, entry) / counted.work.counted, _LEAST)
    more = counting * (compared.work.counted - counted.work.counted)
    distance = (_more(compared, counted, entry) - more) / compared.work.compared
    return _Steps(
        probe=_first(own, entry),
        neighbour=_first(flipped, entry),
        entry=entry,
        counting=counting,
        distance=max(distance, _LEAST),
    )


def _more(run: _Run, other: _Run, entry: float) -> float:
    """Seconds that one takes more than the other, beside its entries."""
    return run.seconds - other.seconds - entry * (run.entries - other.entries)


def _first(run: _Run, entry: float) -> float:
    """A list looked up, without its entries; half of it at least, whatever noise says of them."""
    return max(run.seconds - entry * run.entries, run.seconds / 2) / run.work.probes


class _MadeUp:
    """Segments of ``n`` pins that share their arrays: lists of random pins, of random lengths.

    With lists of one length no branch is mispredicted, and none reaches over a cache line: a third
    of the time of real ones is not seen then.
    """

    def __init__(self, n: int) -> None:
        self._rng = np.random.default_rng(1)
        tails = self._rng.integers(0, 2**TAIL_BITS, n, np.uint64) << np.uint64(PIN_BITS)
        row = tails | self._rng.permutation(n).astype(np.uint64)
        self._entries = _pages((_BANDS, n), np.uint64)
        for band, shift in enumerate(self._rng.integers(0, n, _BANDS)):
            self._entries[band] = np.roll(row, shift)
        self._signatures = _pages((n, SIGNATURE_BYTES), np.uint8)
        self._signatures[:] = self._random(n)

    def bits(self, length: int) -> int:
        """Directory bits for lists of ``length``."""
        return (len(self._signatures) // length).bit_length() - 1

    def run(self, clock: Clock, plans: list[TermPlan]) -> list[_Run]:
        """The fastest of some searches under each plan, the plans in turn.

        Every search has other queries: what it reads is in no cache because of the one before.
        """
        segments = [self._segment(plan) for plan in plans]
        search(segments[0], self._random(1), 0)  # waits for the compiler
        runs: list[list[_Run]] = [[] for _ in plans]
        for _ in range(_REPEATS):
            for segment, done in zip(segments, runs, strict=True):
                queries = self._random(_QUERIES // 8 if segment.plan.flips else _QUERIES)
                words = segment.plan.words(queries)
                begin = clock()
                work = search(segment, queries, 0, words).work
                done.append(_Run(clock() - begin, work))
        return [min(done) for done in runs]

    def _segment(self, plan: TermPlan) -> Segment:
        n = len(self._signatures)
        cuts = self._rng.integers(0, n + 1, (1 << plan.term_bits) + 1)
        cuts[:2] = 0, n
        offsets = np.sort(cuts).astype(np.uint32)
        return Segment(
            segment_id="made-up",
            first=0,
            end=n,
            plan=plan,
            ordinals=np.arange(n),
            offsets=np.repeat(offsets[None], _BANDS, axis=0),
            entries=self._entries,
            signatures=self._signatures,
            sorted_ids=np.empty((0, 2), np.uint64),
            id_ordinals=np.empty(0, np.int64),
        )

    def _random(self, n: int) -> npt.NDArray[np.uint8]:
        return self._rng.integers(0, 256, (n, SIGNATURE_BYTES), np.uint8)


def _pages(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array in pages of the usual size, as memory-mapped files are, not in huge ones."""
    memory = mmap.mmap(-1, math.prod(shape) * np.dtype(dtype).itemsize)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, dtype).reshape(shape)


def _word(clock: Clock) -> float:
    """A band's word of one of many queries: they are made 64 at a time."""
    plan = TermPlan(bands=_BANDS, term_bits=18)
    signatures = np.random.default_rng(1).integers(0, 256, (1024, SIGNATURE_BYTES), np.uint8)
    times = []
    for _ in range(_REPEATS + 1):
        begin = clock()
        plan.words(signatures)
        times.append(clock() - begin)
    return max(min(times[1:]) / (len(signatures) * _BANDS), _LEAST)
