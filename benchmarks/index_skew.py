"""A batch that meets a bucket of very many copies of one picture, beside the same batch without."""

import numpy as np
import numpy.typing as npt

from neardup.benchmarks.crowd import Signatures, easy_patterns, plant
from neardup.benchmarks.figures import Figure, compared
from neardup.benchmarks.index_peers import alternate
from neardup.benchmarks.index_plan import segment_of
from neardup.benchmarks.index_speed import REPEATS, Bench
from neardup.index.exemplars import NOBODY, Exemplars
from neardup.index.search import Candidates, search, search_some
from neardup.index.segment import Segment
from neardup.schemas.settings import StreamSettings
from neardup.streaming.candidates import Ended, Memtable, gather, joined
from neardup.streaming.decide import Decided
from neardup.streaming.nearest import Rule
from neardup.streaming.resolve import Scored, Settled, settle
from neardup.streaming.views import query_rows

BATCH = 1000
COPY_SHARE = 0.04
"""Most flips of a copy: two of them are up to twice as far apart, within a crowd's reach."""

_NOBODY = np.empty(0, np.int64)
_NO_END = Ended(_NOBODY, _NOBODY, np.empty(0, np.int32))


class _Stream:
    """The search of a micro-batch, as the driver and one task do it, over one segment."""

    def __init__(self, crowd: Signatures, segment: Segment, radius: int) -> None:
        self._signatures, self._segment, self._radius = crowd, segment, radius
        self._rule = Rule(segment.plan, radius, StreamSettings().max_links)
        self._exemplars = Exemplars()
        n = len(crowd)
        nobody = np.full(n, NOBODY)
        self._exemplars.replay(np.arange(n), nobody, nobody)

    @property
    def indexed(self) -> npt.NDArray[np.int64]:
        """The indexed pins that came after the segment."""
        return self._exemplars.indexed(self._segment.end, len(self._exemplars))

    def settle(self, queries: Signatures) -> Settled:
        """The candidates of a batch and who is indexed; nothing changes. All is accepted."""
        batch = Decided([], [], queries, query_rows(queries, [None] * len(queries)), _NO_END)
        recent = self.indexed
        memtable = Memtable(recent, self._signatures[recent])

        def job(pairs: Candidates, everything: bool) -> Scored:
            if everything:
                pairs = joined([pairs, self._in_segment(queries)])
            scores = np.zeros(len(pairs.query), np.float32)
            return Scored(pairs, scores, scores == 0)

        return settle(
            batch, memtable, self._exemplars, lambda o: self._signatures[o : o + 1], self._rule, job
        )

    def add(self, queries: Signatures) -> None:
        """Settle a batch, and its pins arrive."""
        exemplars = self.settle(queries).exemplars
        ordinals = np.arange(len(queries)) + len(self._exemplars)
        self._signatures = np.concatenate([self._signatures, queries])
        self._exemplars.replay(ordinals, exemplars, np.full(len(queries), NOBODY))

    def _in_segment(self, queries: Signatures) -> Candidates:
        return gather(
            queries,
            _NO_END,
            self._rule.max_links,
            lambda some: search_some(self._segment, some, self._radius),
        )


def copies(bench: Bench, segment: Segment, count: int) -> Figure:
    """A batch, half of it copies, after ``count`` copies of the same picture have arrived."""
    picture = bench.crowd[:1]
    copied = picture ^ easy_patterns(count + BATCH // 2, bench.rng, COPY_SHARE)
    others, _ = plant(bench.crowd, bench.links, BATCH // 2, bench.rng)
    order = bench.rng.permutation(BATCH)
    batch = np.concatenate([copied[count:], others])[order]
    without, along = (_Stream(bench.crowd, segment, bench.radius) for _ in range(2))
    for begin in range(0, count, BATCH):
        along.add(copied[begin : min(begin + BATCH, count)])
    without.settle(batch)  # compiled before it is timed
    bucket = segment_of(copied[:count], segment.plan)
    with_bucket, plain, whole_bucket = alternate(
        REPEATS,
        lambda _: along.settle(batch),
        lambda _: without.settle(batch),
        lambda _: search(bucket, batch, bench.radius),
    )
    found = along.settle(batch).links.candidates
    to_bucket = np.unique(found.query[found.ordinal >= segment.end])
    linked = int((order[to_bucket] < BATCH // 2).sum())
    row = compared(
        f"search of a batch of {BATCH:,}, {count:,} copies in its way",
        "ms",
        [1e3 * s for s in with_bucket],
        "the same batch, no copies before it",
        [1e3 * s for s in plain],
        target="ratio <= 2",
        quality=f"of {count:,} copies {len(along.indexed)} are indexed; {linked} of {BATCH // 2} "
        f"copies in the batch are linked to them; without exemplars the bucket alone would cost "
        f"{1e3 * float(np.median(whole_bucket)):.0f} ms more",
    )
    row.met = row.ratio is not None and row.ratio <= 2
    return row
