"""Which candidates a new pin has, and who answers for it: in the order of the log, on the driver.

Whether a pin of the batch is indexed depends on the candidates of the pins before it, and decides
about the candidates of those after it. Distances settle that, not scores. But candidates in
segments come from the executors, with their scores, in one job. So the driver first guesses, from
the memtable and the batch alone, which pairs it will want scored, has them scored with those of the
segments, and then resolves with all candidates known. Rarely a pair is wanted that was not
guessed: a second, small job scores it.

The outcome is that of feeding the same events one by one.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neardup.clusters.fold import FOUNDER_BITS
from neardup.index.exemplars import NOBODY, Exemplars, exemplar_for
from neardup.index.search import Candidates
from neardup.index.store import SIGNATURE_BYTES
from neardup.streaming.candidates import LINKS, Ended, Memtable, joined, take
from neardup.streaming.decide import Decided
from neardup.streaming.nearest import Nearest, Rule, in_memtable
from neardup.streaming.views import merge_views, query_rows

Int64 = npt.NDArray[np.int64]
Signatures = npt.NDArray[np.uint8]


class Scored(NamedTuple):
    """Candidates with the classifier's log-odds, float32, and whether it accepts them, bool."""

    candidates: Candidates
    score: npt.NDArray[np.float32]
    accepted: npt.NDArray[np.bool_]


def scored(links: pa.Table) -> Scored:
    """What the executors found, rows of LINKS."""
    columns = {name: links[name].to_numpy() for name in LINKS.names}
    candidates = Candidates(*(columns[name] for name in Candidates._fields))
    return Scored(candidates, columns["score"], columns["accepted"])


class Settled(NamedTuple):
    """What a batch's new pins got, and how many pairs were scored for that.

    ``links``: by query, nearest first. ``exemplars`` int64 [q]: NOBODY if the pin is indexed.
    """

    links: Scored
    exemplars: Int64
    scored: int


Job = Callable[[Candidates, bool], Scored]
"""Scores pairs that the driver found; if asked to, also finds and scores those in segments."""


def settle(
    decided: Decided,
    memtable: Memtable,
    exemplars: Exemplars,
    signature_of: Callable[[int], Signatures],
    rule: Rule,
    job: Job,
) -> Settled:
    """Links and exemplars of the batch's new pins. ``exemplars`` is as it was when this returns.

    ``signature_of`` gives uint8 [1, 128] of any pin that was added before the batch.
    """
    searched = decided.searched
    batch = _Batch(decided, exemplars, signature_of, rule)
    recent = in_memtable(searched.signatures, searched.ended(decided.ended), memtable, rule)
    guess, _ = batch.resolve(recent)
    found = job(guess, True)
    in_segments = take(found.candidates, ~_among(found.candidates, guess))
    by_row, answering = batch.resolve(joined([recent, in_segments]))
    final = merge_views(searched, by_row, rule.max_links)
    missing = take(final, ~_among(final, found.candidates))
    if len(missing.query):
        more = job(missing, False)
        columns = (np.concatenate(both) for both in zip(found[1:], more[1:], strict=True))
        found = Scored(joined([found.candidates, more.candidates]), *columns)
    links = _links(final, found)
    links = links._replace(candidates=searched.of_queries(links.candidates))
    return Settled(links, answering, len(found.score))


class _Batch:
    """Resolves one batch, from whatever candidates are known beside its own pins.

    Candidates are of rows (``streaming.views``); of each query the upright row, its first, decides
    whether it is indexed.
    """

    def __init__(
        self,
        decided: Decided,
        exemplars: Exemplars,
        signature_of: Callable[[int], Signatures],
        rule: Rule,
    ) -> None:
        self._exemplars = exemplars
        self._first = len(exemplars)
        self._signature_of = signature_of
        self._max_links = rule.max_links
        self._rows = decided.searched.first.tolist()
        self._near = Nearest(decided.searched.signatures, rule)
        ended = decided.ended
        self._end_of = dict(zip(ended.during.tolist(), ended.at.tolist(), strict=True))
        self._ends: list[list[int]] = [[] for _ in range(len(decided.queries) + 1)]
        for ordinal, at in self._end_of.items():
            self._ends[at].append(ordinal)

    def resolve(self, known: Candidates) -> tuple[Candidates, Int64]:
        """All candidates of each row, by (row, hamming, ordinal); the exemplar of each query."""
        self._near.load(known)
        answering = np.full(len(self._ends) - 1, NOBODY, np.int64)
        with self._exemplars.trial():
            for query in range(len(answering)):
                for ordinal in self._ends[query]:
                    elected = self._exemplars.end(ordinal)
                    if elected != NOBODY:
                        self._index(elected, query)
                answering[query] = exemplar_for(*self._near.of(self._rows[query]), self._max_links)
                self._exemplars.add(self._first + query, int(answering[query]))
                if answering[query] == NOBODY:
                    self._index(self._first + query, query + 1)
        return self._near.candidates(), answering

    def _index(self, ordinal: int, begin: int) -> None:
        """A pin can be found from query ``begin`` on, until it ends."""
        end = self._end_of.get(ordinal, len(self._ends) - 1)
        first, last = self._rows[begin], self._rows[end]
        if ordinal >= self._first:
            own = self._rows[ordinal - self._first]
            self._near.offer_query(own, ordinal, first, last)
        else:
            self._near.offer(ordinal, self._signature_of(ordinal), first, last)


def _among(pairs: Candidates, others: Candidates) -> npt.NDArray[np.bool_]:
    """Whether each pair is one of the others."""
    return np.isin(_keys(pairs), _keys(others))


def _keys(pairs: Candidates) -> Int64:
    """One number a pair: ordinals have at most FOUNDER_BITS bits."""
    return pairs.query.astype(np.int64) << FOUNDER_BITS | pairs.ordinal


def _links(final: Candidates, found: Scored) -> Scored:
    """The final candidates that the classifier accepts, in their order."""
    keys = _keys(found.candidates)
    order = np.argsort(keys)
    row = order[np.searchsorted(keys, _keys(final), sorter=order)]
    accepted = found.accepted[row]
    return Scored(take(final, accepted), found.score[row][accepted], accepted[accepted])


def rehearse(rule: Rule) -> None:
    """Settle a batch of two pins beside a third and keep nothing: now the kernels are compiled."""
    nobody, exemplars = np.empty(0, np.int64), Exemplars()
    exemplars.add(0)
    pins = np.array([[0], [85], [255]], np.uint8).repeat(SIGNATURE_BYTES, axis=1)
    ended = Ended(nobody, nobody, nobody.astype(np.int32))
    batch = Decided([], [], pins[1:], query_rows(pins[1:], [None, None]), ended)
    memtable = Memtable(np.zeros(1, np.int64), pins[:1])

    def job(pairs: Candidates, _: bool) -> Scored:
        scores = np.zeros(len(pairs.query), np.float32)
        return Scored(pairs, scores, scores > 0)

    settle(batch, memtable, exemplars, lambda ordinal: pins[:1], rule, job)
