"""Second step of a micro-batch, on the executors: signatures in, links out.

Each task searches a group of segments, or takes pairs that the driver found in the memtable, and
scores what is near enough. There is no shuffle: all bands of a pin lie in one segment.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neardup.index.cache import SegmentCache
from neardup.index.search import Candidates, Found, search_some
from neardup.index.segment import Segment
from neardup.models.classifier import Classifier, Scores
from neardup.models.scorer import LoadingScorer
from neardup.schemas.lake import segment_blocks
from neardup.streaming.garbage import keep_what_is_loaded

LINKS = pa.schema(
    [
        ("query", pa.int32()),
        ("ordinal", pa.int64()),
        ("overlap", pa.int32()),
        ("hamming", pa.int32()),
        ("score", pa.float32()),
        ("accepted", pa.bool_()),
        ("shadow_score", pa.float32()),  # null without a shadow
    ]
)

NO_CANDIDATES = Candidates(*(np.empty(0, dtype) for dtype in ("i4", "i8", "i4", "i4")))

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Signatures = npt.NDArray[np.uint8]


def take(found: Candidates, keep: npt.NDArray[Any]) -> Candidates:
    """Those candidates that a mask or an index array names."""
    return Candidates(*(column[keep] for column in found))


class Memtable(NamedTuple):
    """Live indexed pins that no segment holds: ordinals int64 [n], signatures uint8 [n, 128].

    By ordinal, ascending.
    """

    ordinals: Int64
    signatures: Signatures


@dataclass(frozen=True)
class Ended:
    """Pins that no longer match anything.

    ``before`` int64, ascending: those that ended before the batch, but that a segment still holds.
    ``during`` int64, ascending, and ``at`` int32: those that end in the batch, and how many queries
    came before that.
    """

    before: Int64
    during: Int64
    at: Int32

    def mask(self, found: Candidates) -> npt.NDArray[np.bool_]:
        """True where the older pin is live when the query arrives."""
        live = place(self.before, found.ordinal) < 0
        where = place(self.during, found.ordinal)
        ending = where >= 0
        live[ending] &= self.at[where[ending]] > found.query[ending]
        return live


def place(ascending: Int64, values: Int64) -> Int64:
    """Where each value stands, int64 [n]; -1 if it does not."""
    if not len(ascending):
        return np.full(len(values), -1)
    where = np.searchsorted(ascending, values).clip(max=len(ascending) - 1)
    return np.where(ascending[where] == values, where, -1)


def nearest(found: Candidates, limit: int) -> Candidates:
    """The ``limit`` nearest older pins of each query, ties to the older; sorted by query."""
    queries = 1 + int(found.query.max(initial=-1))
    return take(found, _nearest(found.query, found.hamming, found.ordinal, queries, limit))


@numba.njit(cache=True, nogil=True)
def _nearest(query, hamming, ordinal, queries, limit):  # type: ignore[no-untyped-def]
    """Sorting them all would take ten times as long beside a crowd, where most are turned away."""
    best, counts = np.empty((queries, limit), np.int64), np.zeros(queries, np.int64)
    for at in range(len(query)):
        own = best[query[at]]
        free = counts[query[at]]
        if free == limit:
            free -= 1
            if not _before(hamming, ordinal, at, own[free]):
                continue
        else:
            counts[query[at]] += 1
        while free > 0 and _before(hamming, ordinal, at, own[free - 1]):
            own[free] = own[free - 1]
            free -= 1
        own[free] = at
    out = np.empty(counts.sum(), np.int64)
    size = 0
    for i in range(queries):
        out[size : size + counts[i]] = best[i, : counts[i]]
        size += counts[i]
    return out


@numba.njit(cache=True, nogil=True, inline="always")
def _before(hamming, ordinal, one, other):  # type: ignore[no-untyped-def]
    if hamming[one] != hamming[other]:
        return hamming[one] < hamming[other]
    return ordinal[one] < ordinal[other]


def joined(parts: Sequence[Candidates]) -> Candidates:
    """One after the other."""
    return Candidates(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def gather(
    queries: Signatures,
    ended: Ended,
    limit: int,
    find: Callable[[Signatures], Found],
    share: tuple[int, int] | None = None,
) -> Candidates:
    """The ``limit`` nearest live candidates that ``find`` has for each query.

    ``find`` takes as many of the queries at a time as it has memory for: beside a crowd of copies
    not the whole batch. ``share``: of those queries from the first on to before the second only.
    """
    begin, end = share or (0, len(queries))
    parts = [NO_CANDIDATES]
    while begin < end:
        some = find(queries[begin:end])
        found = some.candidates
        found = found._replace(query=found.query + np.int32(begin))
        parts.append(nearest(take(found, ended.mask(found)), limit))
        begin += some.queries
    return joined(parts)


@dataclass(frozen=True)
class SearchPlan:
    """What every task of a batch shares; broadcast once a batch.

    ``queries`` uint8 [q, 128]. ``groups``: lists of segment ids; ``shares``: so many tasks search a
    group, each for its part of the queries. ``pairs`` and ``others`` uint8 [m, 128]: memtable
    candidates and the older pins' signatures, for the last task.
    """

    queries: Signatures
    ended: Ended
    groups: list[list[str]]
    shares: int
    pairs: Candidates
    others: Signatures
    lake: Path
    cache_dir: Path
    cache_bytes: int
    max_links: int

    @property
    def tasks(self) -> int:
        return max(len(self.groups) * self.shares, int(len(self.pairs.query) > 0))

    def work_of(self, task: int) -> tuple[list[str], tuple[int, int]]:
        """The segments that a task searches, and its share of the queries: from, to before."""
        group, share = divmod(task, self.shares)
        begin, end = (len(self.queries) * i // self.shares for i in (share, share + 1))
        return (self.groups[group] if self.groups else []), (begin, end)


class Broadcast(NamedTuple):
    """The two broadcast values: the plan of this batch, and a tuple of the arrays of classifiers.

    The first one decides. A second one is its shadow: it scores the same pairs. ``cache``: Spark's
    accumulator of what this host's cache of segments was asked for.
    """

    plan: Any
    classifiers: Any
    cache: Any


def search_tasks(shared: Broadcast, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """For ``mapInArrow`` over task numbers (column ``id``): rows of LINKS."""
    plan: SearchPlan = shared.plan.value
    scorers = [scorer_of(arrays) for arrays in shared.classifiers.value]
    for batch in batches:
        for task in batch.column("id").to_pylist():
            radius = scorers[0].classifier.radius
            group, share = plan.work_of(task)
            cache = _segment_cache(plan.cache_dir, plan.cache_bytes)
            parts = []
            for segment_id in group:
                segment = cache.open(segment_id, partial(segment_blocks, plan.lake, segment_id))
                parts.append(in_segment(plan, segment, radius, share))
            yield links_of(scorers, plan, parts, last=task == plan.tasks - 1)
            shared.cache.add(cache.taken_counts())
    keep_what_is_loaded()


Part = tuple[Candidates, Signatures]
"""Candidates and the older pins' signatures."""


def links_of(
    scorers: Sequence["Scorer"], plan: SearchPlan, parts: Sequence[Part], last: bool
) -> pa.RecordBatch:
    """Rows of LINKS of a task; the last one also takes the pairs of the memtable."""
    parts = [*parts, (plan.pairs, plan.others)] if last else parts
    others = np.concatenate([signatures for _, signatures in parts])
    found = joined([candidates for candidates, _ in parts])
    return score_candidates(scorers, plan.queries, found, others)


def in_segment(
    plan: SearchPlan, segment: Segment, radius: int, share: tuple[int, int] | None = None
) -> Part:
    """The nearest live candidates that a segment has for the queries of a plan, or a share."""
    found = gather(
        plan.queries,
        plan.ended,
        plan.max_links,
        lambda queries: search_some(segment, queries, radius),
        share,
    )
    return found, segment.signatures_of(found.ordinal)


def score_candidates(
    scorers: Sequence["Scorer"], queries: Signatures, found: Candidates, others: Signatures
) -> pa.RecordBatch:
    """Rows of LINKS; candidates below the threshold come along, to be counted.

    ``queries`` uint8 [q, 128]; ``others`` uint8 [m, 128]: the older pin of each candidate.
    """
    lefts = queries[found.query]
    score, *shadow = (scorer.log_odds(lefts, others) for scorer in scorers)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(found.query, pa.int32()),
            pa.array(found.ordinal, pa.int64()),
            pa.array(found.overlap, pa.int32()),
            pa.array(found.hamming, pa.int32()),
            pa.array(score, pa.float32()),
            pa.array(score >= scorers[0].classifier.threshold, pa.bool_()),
            pa.array(shadow[0], pa.float32()) if shadow else pa.nulls(len(score), pa.float32()),
        ],
        schema=LINKS,
    )


@cache
def _segment_cache(directory: Path, max_bytes: int) -> SegmentCache:
    return SegmentCache(directory, max_bytes)


class Scorer(Protocol):
    """A classifier, and its log-odds float32 [n] of pairs of signatures uint8 [n, 128]."""

    @property
    def classifier(self) -> Classifier: ...

    def log_odds(self, left: Signatures, right: Signatures) -> Scores: ...


KEPT_SCORERS = 3  # those in use, at most two, and the one before a swap

_scorers: dict[str, LoadingScorer] = {}


def scorer_of(arrays: Mapping[str, Any]) -> LoadingScorer:
    """This worker process' scorer, one for each version of a classifier.

    A worker that starts while events wait searches at once: TensorFlow takes five seconds to load.
    """
    version = str(arrays["version"])
    if version not in _scorers:
        if len(_scorers) == KEPT_SCORERS:
            del _scorers[next(iter(_scorers))]
        _scorers[version] = LoadingScorer(Classifier.from_arrays(arrays))
    return _scorers[version]
