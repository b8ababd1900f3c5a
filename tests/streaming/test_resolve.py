"""Links and exemplars against a model that takes one event after the other and looks at every pin.

Events are fed in batches of any size, flushed and merged at any time. No Spark: the executors' part
is called as a function, on real segments.
"""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardup.index.policy import flush_ranges
from neardup.index.search import Candidates, Found, search_some
from neardup.index.segment import Segment, SegmentBlocks, SegmentName, decode_segment
from neardup.index.terms import TermPlan, matches
from neardup.streaming import candidates, nearest
from neardup.streaming.candidates import gather, joined
from neardup.streaming.decide import decide
from neardup.streaming.nearest import Rule
from neardup.streaming.resolve import Scored, Settled, rehearse, settle
from neardup.streaming.state import EVENTS, State

PLAN = TermPlan(bands=5, term_bits=10, tail_flips=5, min_overlap=2)
RULE = Rule(PLAN, radius=300, max_links=3)
"""Few and long bands: many a near pair does not match in two of them."""

Event = tuple[str, int | None]
"""A pin id and the number of its signature; None: a delete."""


def pool(rng: np.random.Generator) -> np.ndarray:
    """Twelve signatures around two pictures: copies, looser crowds, and what is merely near."""
    bits = np.repeat(rng.random((2, 1024)) < 0.5, 6, axis=0)
    for row, flips in zip(bits, rng.choice([0, 2, 5, 9, 30, 50, 80, 150], len(bits)), strict=True):
        row[rng.choice(1024, flips, replace=False)] ^= True
    return np.packbits(bits, axis=1)


@dataclass
class Outcome:
    """What the log says of each added pin, and who is indexed in the end."""

    links: list[list[tuple[int, int, int]]] = field(default_factory=list)
    exemplars: list[int | None] = field(default_factory=list)
    indexed: list[int] = field(default_factory=list)


def accepted(hamming: Any) -> Any:
    """Stands for the classifier: some near pairs are accepted and some are not."""
    return hamming % 3 != 1


def views_of(what: int, views: int) -> list[int]:
    """The signatures that a picture's views have: those of other pictures of the pool."""
    return [(what + 5 * view) % 12 for view in range(1, views + 1)]


def naive(events: list[Event], signatures: np.ndarray, views: int = 0) -> Outcome:
    """One event after the other; every election and every candidate by looking at all pins."""
    n = len(signatures)
    left, right = np.repeat(signatures, n, axis=0), np.tile(signatures, (n, 1))
    overlap = matches(RULE.plan, left, right).reshape(n, n)
    hamming = np.bitwise_count(left ^ right).sum(axis=1, dtype=np.int64).reshape(n, n)
    newest: dict[str, int] = {}
    kind: list[int] = []
    founder: list[int] = []
    indexed: set[int] = set()
    outcome = Outcome()
    for pin_id, what in events:
        previous = newest.get(pin_id)
        if previous is not None and what is not None and hamming[what, kind[previous]] == 0:
            continue
        if previous is not None:
            del newest[pin_id]
            if previous in indexed:
                indexed.remove(previous)
                group = [o for o in newest.values() if founder[o] == founder[previous]]
                indexed |= {min(group)} if group else set()
        if what is None:
            continue
        seen = [
            sorted(
                (int(hamming[view, kind[o]]), o, int(overlap[view, kind[o]]))
                for o in indexed
                if overlap[view, kind[o]] >= 2 and hamming[view, kind[o]] <= RULE.radius
            )
            for view in (what, *views_of(what, views))
        ]
        near = seen[0][: RULE.max_links]
        best: dict[int, tuple[int, int, int]] = {}
        for pair in (pair for own in seen for pair in own):
            best[pair[1]] = min(best.get(pair[1], pair), pair, key=lambda one: one[0])
        linked = sorted(best.values())[: RULE.max_links]
        crowd = len(near) == RULE.max_links and near[-1][0] <= 205
        follows = bool(near) and (near[0][0] <= 8 or crowd)
        ordinal = len(kind)
        newest[pin_id] = ordinal
        kind.append(what)
        founder.append(founder[near[0][1]] if follows else ordinal)
        indexed |= set() if follows else {ordinal}
        outcome.links.append([(o, s, h) for h, o, s in linked if accepted(h)])
        outcome.exemplars.append(near[0][1] if follows else None)
    outcome.indexed = sorted(indexed)
    return outcome


class Store:
    """Signatures and ids by ordinal, in lists."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.rows = np.empty((0, 128), np.uint8)

    def __len__(self) -> int:
        return len(self.ids)

    def extend(self, pin_ids: list[str], signatures: np.ndarray, looks: np.ndarray) -> None:
        self.ids += pin_ids
        self.rows = np.concatenate([self.rows, signatures])

    def pin_id(self, ordinal: int) -> str:
        return self.ids[ordinal]

    def signatures(self, ordinals: Any) -> np.ndarray:
        rows: np.ndarray = self.rows[ordinals]
        return rows


class Stream:
    """The driver's state with segments in a dict, and batches without Spark, Kafka and Delta."""

    def __init__(self, flush_pins: int, views: int = 0) -> None:
        self.flush_pins = flush_pins
        self.views = views
        self.segments: dict[str, Segment] = {}
        self.jobs: list[int] = []
        self.outcome = Outcome()
        self.log: list[dict[str, Any]] = []
        self.merged: SegmentBlocks | None = None
        self.state = self.new_state()

    def new_state(self) -> State:
        return State(
            lake=SimpleNamespace(path=None),  # type: ignore[arg-type]
            cache=SimpleNamespace(open=lambda name, _: self.segments[name]),  # type: ignore[arg-type]
            ledger=SimpleNamespace(  # type: ignore[arg-type]
                store=Store(), fold=SimpleNamespace(is_live=self.is_live)
            ),
            plan=RULE.plan,
            topic_id="t",
        )

    def is_live(self, ordinal: int) -> bool:
        return ordinal in self.state.exemplars.live(ordinal, ordinal + 1)

    def batch(self, events: list[Event], signatures: np.ndarray) -> Settled:
        rows = [
            {
                "pin_id": pin_id,
                "kind": "delete" if what is None else "add",
                "signature": None if what is None else signatures[what].tobytes(),
                "views": None
                if what is None
                else signatures[views_of(what, self.views)].tobytes() or None,
                "thumbnail": None,
                "partition": 0,
                "offset": 0,
            }
            for pin_id, what in events
        ]
        state = self.state
        decided = decide(state, rows)
        searched = decided.searched
        ended = searched.ended(decided.ended)
        seen: set[tuple[int, int]] = set()

        def job(pairs: Candidates, in_segments: bool) -> Scored:
            parts = [pairs]
            for segment_id in state.segment_ids if in_segments else ():
                segment = self.segments[segment_id]

                def find(some: np.ndarray, segment: Segment = segment) -> Found:
                    return search_some(segment, some, RULE.radius)

                parts.append(gather(searched.signatures, ended, RULE.max_links, find))
            found = joined(parts)
            keys = list(zip(found.query.tolist(), found.ordinal.tolist(), strict=True))
            assert len(set(keys)) == len(keys) and not seen & set(keys), "no pair is scored twice"
            seen.update(keys)
            return Scored(found, -found.hamming.astype(np.float32), accepted(found.hamming))

        memtable = state.memtable()
        assert np.array_equal(memtable.ordinals, np.unique(memtable.ordinals))
        jobs: list[int] = []

        def counted(pairs: Candidates, in_segments: bool) -> Scored:
            jobs.append(len(pairs.query))
            return job(pairs, in_segments)

        settled = settle(decided, memtable, state.exemplars, state.signature_of, RULE, counted)
        self.jobs.append(len(jobs))
        self._commit(decided, settled)
        return settled

    def _commit(self, decided: Any, settled: Settled) -> None:
        links: list[list[tuple[int, int, int]]] = [[] for _ in decided.adds]
        for query, ordinal, overlap, hamming in zip(*settled.links.candidates, strict=True):
            links[query].append((int(ordinal), int(overlap), int(hamming)))
        assert settled.links.score.tolist() == [-hamming for row in links for *_, hamming in row]
        for row, exemplar in zip(decided.adds, settled.exemplars.tolist(), strict=True):
            row["exemplar"] = None if exemplar < 0 else exemplar
        self.outcome.links += links
        self.outcome.exemplars += [row["exemplar"] for row in decided.adds]
        self.state.apply(decided.rows, decided.queries)
        self.log += decided.rows
        self.outcome.indexed = self.state.exemplars.indexed(0, len(self.state.store)).tolist()

    def flush(self) -> None:
        size = self.state.next_ordinal - self.state.flushed
        for span in flush_ranges(self.state.flushed, size, self.flush_pins):
            self.write(self.state.build(span))

    def begin_merge(self) -> None:
        """Build one segment of all there are. It is in nobody's way, and ages."""
        spans = [SegmentName.of(segment_id) for segment_id in self.state.segment_ids]
        if len(spans) > 1:
            self.merged = self.state.build((spans[0].first, spans[-1].end))

    def end_merge(self) -> None:
        if self.merged is not None:
            self.write(self.merged)
            self.merged = None

    def write(self, built: SegmentBlocks) -> None:
        self.segments[built.segment_id] = decode_segment(*built)
        self.state.adopt([built.segment_id])

    def restart(self) -> None:
        """The state again, from the log and the segments alone."""
        before, self.state = self.state, self.new_state()
        self.state.ledger.store = before.store
        self.state.replay(pa.Table.from_pylist(self.log, schema=EVENTS))
        self.state.adopt(self.segments)
        recent = range(self.state.flushed, self.state.next_ordinal)
        self.state.recent = {before.store.pin_id(ordinal): ordinal for ordinal in recent}
        for name in ("flushed", "recent", "segment_ids", "strays", "masked"):
            one, other = getattr(self.state, name), getattr(before, name)
            assert np.array_equal(one, other) if name in ("strays", "masked") else one == other


def random_events(rng: np.random.Generator, n: int) -> list[Event]:
    """Events of ten pins: a third are deletes, so that exemplars end and others are elected."""
    numbers = zip(rng.integers(0, 10, n), rng.integers(-6, 12, n), strict=True)
    return [(f"pin-{pin}", int(what) if what >= 0 else None) for pin, what in numbers]


def test_what_was_rehearsed_need_not_be_compiled_in_a_batch() -> None:
    kernels = (nearest._offer, nearest._offer_pairs, candidates._nearest)
    rehearse(RULE)
    before = [len(kernel.signatures) for kernel in kernels]
    assert all(before)
    rng = np.random.default_rng(5)
    signatures, stream = pool(rng), Stream(flush_pins=3)
    for _ in range(10):
        stream.batch(random_events(rng, 9), signatures)
        stream.flush()
    assert [len(kernel.signatures) for kernel in kernels] == before


@settings(deadline=None, max_examples=200)
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(0, 80),
    flush_pins=st.integers(1, 6),
    views=st.integers(0, 2),
)
def test_batches_flushes_and_merges_do_not_matter(
    seed: int, n: int, flush_pins: int, views: int
) -> None:
    rng = np.random.default_rng(seed)
    signatures, events = pool(rng), random_events(rng, n)
    stream = Stream(flush_pins, views)
    left = events
    while left:
        size = int(rng.integers(1, 12))
        stream.batch(left[:size], signatures)
        left = left[size:]
        for step in (stream.flush, stream.begin_merge, stream.end_merge, stream.restart):
            if rng.random() < 0.4:
                step()
    assert stream.outcome == naive(events, signatures, views)
    assert max(stream.jobs, default=0) <= 2


def flipped(signature: np.ndarray, begin: int, end: int) -> np.ndarray:
    """The signature with the bits from ``begin`` to ``end - 1`` changed."""
    bits = np.unpackbits(signature)
    bits[begin:end] ^= 1
    return np.packbits(bits)


def test_a_pair_that_was_not_guessed_is_scored_by_a_second_job() -> None:
    """`copy` looks new to the driver, for its exemplar is in a segment. Then `next` follows `copy`
    in the driver's guess; in truth it is too far from the exemplar, is indexed, and answers."""
    first = np.random.default_rng(0).integers(0, 256, 128, np.uint8)
    copy, following = flipped(first, 0, 8), flipped(first, 0, 12)
    signatures = np.stack([first, copy, following])
    stream = Stream(flush_pins=1)
    stream.batch([("first", 0)], signatures)
    stream.flush()
    events: list[Event] = [("copy", 1), ("next", 2), ("next-copy", 2)]
    settled = stream.batch(events, signatures)
    assert settled.exemplars.tolist() == [0, -1, 2]
    assert stream.jobs[-1] == 2
    assert stream.outcome == naive([("first", 0), *events], signatures)


@pytest.mark.parametrize("flips", [1, 20])
def test_a_batch_of_copies_asks_for_a_few_pairs_each(flips: int) -> None:
    """1,000 copies in one batch: neither pairs nor scores grow with its square."""
    print("seed", seed := 3)
    rng = np.random.default_rng(seed)
    n = 1_000
    signatures = np.tile(rng.integers(0, 256, 128, np.uint8), (n, 1))
    for _ in range(flips):
        signatures[np.arange(n), rng.integers(0, 128, n)] ^= 1
    stream = Stream(flush_pins=n)
    settled = stream.batch([(f"pin-{i}", i) for i in range(n)], signatures)
    assert settled.scored <= n * RULE.max_links
    assert len(stream.outcome.indexed) <= 2 * RULE.max_links
    everybody = stream.state.exemplars
    groups = [everybody.followers(exemplar) for exemplar in stream.outcome.indexed]
    assert len(stream.outcome.indexed) + sum(map(len, groups)) == n


def test_an_empty_batch() -> None:
    stream = Stream(flush_pins=1)
    settled = stream.batch([], pool(np.random.default_rng(0)))
    assert settled.scored == 0 and not len(settled.exemplars)
    stream.batch([("a", None), ("a", 0), ("a", None), ("a", 0)], pool(np.random.default_rng(0)))
    assert stream.outcome.exemplars == [None, None]
