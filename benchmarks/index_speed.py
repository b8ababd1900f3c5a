"""How much the index finds, and how fast, beside FAISS and brute force.

Every time is the processor's for one thread; both sides answer the same queries, in turn.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neardup.benchmarks.crowd import Signatures, link_patterns, plant
from neardup.benchmarks.figures import Figure, compared, figure
from neardup.benchmarks.index_peers import MultiHash, alternate, flat, found_within, tried
from neardup.benchmarks.index_plan import (
    RECALL,
    described,
    plan_recall,
    planned,
    segment_of,
)
from neardup.index.costs import Costs
from neardup.index.hamming import pairs_within, pairs_within_batch
from neardup.index.search import Found, search
from neardup.index.segment import Segment
from neardup.index.terms import TermPlan

Settings = tuple[tuple[int, int], ...]
"""Bits and flips of FAISS's tables, each with the fewest tables that reach the recall."""

# The fastest of a wider grid (10 to 28 bits, 0 to 3 flips). Of the real ones, the first wins at a
# hundred thousand pins, the second at a million.
REAL_SETTINGS: Settings = ((16, 1), (20, 2), (22, 3), (10, 0))
EASY_SETTINGS: Settings = ((22, 0), (20, 0), (22, 1), (24, 1))
EASY_PATTERNS = 8000
MEMTABLE = 16_384
REPEATS = 5


@dataclass(frozen=True, eq=False)
class Bench:
    """What is measured on: a ``crowd`` uint8 [n, 128] whose last rows are the labelled pictures.

    ``groups`` int64: which of these are near-duplicates. ``links`` uint8 [m, 128]: the differing
    bits of their pairs within ``radius``.
    """

    crowd: Signatures
    labelled: Signatures
    groups: npt.NDArray[np.int64]
    links: Signatures
    radius: int
    costs: Costs
    rng: np.random.Generator
    quick: bool


@dataclass(frozen=True, eq=False)
class Contest:
    """Our index and FAISS's, each at its best for the same ``patterns``."""

    patterns: Signatures
    segment: Segment
    setting: MultiHash
    peer: Any
    tried: str


def contest(bench: Bench, patterns: Signatures, settings: Settings, tries: int) -> Contest:
    """Plan, build, and choose among FAISS's settings with ``tries`` queries each.

    The chosen index is built anew, alone and last: beside the leftovers of others its many small
    allocations took 1.7 times as long.
    """
    queries, _ = plant(bench.crowd, patterns, tries, bench.rng)
    fewest = (MultiHash.least(bits, flips, patterns, RECALL) for bits, flips in settings)
    seconds = tried([found for found in fewest if found], bench.crowd, queries, bench.radius)
    told = ", ".join(f"{one}: {1e6 * took:.0f} us" for one, took in seconds.items())
    segment = segment_of(bench.crowd, planned(bench.crowd, patterns, bench.radius, bench.costs))
    setting = min(seconds, key=lambda one: seconds[one])
    return Contest(patterns, segment, setting, setting.build(bench.crowd), told)


def beside_multihash(bench: Bench, rivals: Contest, kind: str, queries: int) -> Figure:
    """Queries a second and core at equal recall; ``queries`` are new in each repeat."""
    planted, pins = plant(bench.crowd, rivals.patterns, queries * REPEATS, bench.rng)
    own: list[npt.NDArray[np.bool_]] = []
    others: list[npt.NDArray[np.bool_]] = []

    def rows(repeat: int) -> slice:
        return slice(repeat * queries, (repeat + 1) * queries)

    def by_us(repeat: int) -> None:
        found = search(rivals.segment, planted[rows(repeat)], bench.radius)
        own.append(_is_found(found, pins[rows(repeat)]))

    def by_faiss(repeat: int) -> None:
        found = found_within(rivals.peer, planted[rows(repeat)], bench.radius)
        hits = [pin in one for pin, one in zip(pins[rows(repeat)], found, strict=True)]
        others.append(np.array(hits))

    search(rivals.segment, planted[:1], bench.radius)  # compiled before it is timed
    ours, theirs = alternate(REPEATS, by_us, by_faiss)
    row = compared(
        f"queries a second and core at {_size(bench.crowd)}, {kind}",
        "queries/s",
        [queries / s for s in ours],
        str(rivals.setting),
        [queries / s for s in theirs],
        target="ratio >= 1",
        quality=(
            f"found {np.concatenate(own).mean():.4f} and {np.concatenate(others).mean():.4f} of "
            f"{len(pins):,} planted, {plan_recall(rivals.segment.plan, rivals.patterns):.4f} and "
            f"{rivals.setting.recall(rivals.patterns):.4f} of all patterns; "
            f"{described(rivals.segment.plan)}; FAISS at {rivals.tried}"
        ),
    )
    row.met = row.ratio is not None and row.ratio >= 1
    return row


def beside_flat(bench: Bench, segment: Segment, queries: int) -> Figure:
    """Queries a second and core, beside FAISS's brute force."""
    planted, _ = plant(bench.crowd, bench.links, queries * REPEATS, bench.rng)
    peer = flat(bench.crowd)
    parts = np.split(planted, REPEATS)
    ours, theirs = alternate(
        REPEATS,
        lambda repeat: search(segment, parts[repeat], bench.radius),
        lambda repeat: found_within(peer, parts[repeat], bench.radius),
    )
    row = compared(
        f"the same at {_size(bench.crowd)}, beside brute force",
        "queries/s",
        [queries / s for s in ours],
        "FAISS IndexBinaryFlat",
        [queries / s for s in theirs],
        target="ratio >= 20 at 1M",
        quality=f"recall {plan_recall(segment.plan, bench.links):.4f} and 1; "
        f"{described(segment.plan)}",
    )
    if not bench.quick:
        row.met = row.ratio is not None and row.ratio >= 20
    return row


def on_real_pairs(bench: Bench, segment: Segment) -> Figure:
    """What a search finds of the pairs of labelled pictures that brute force finds.

    Counted are pairs of one group; pairs of different pictures that happen to be within the radius
    stand beside it.
    """
    first = len(bench.crowd) - len(bench.labelled)
    near = pairs_within_batch(bench.labelled, bench.radius)
    candidates = search(segment, bench.labelled, bench.radius).candidates
    keys = candidates.query.astype(np.int64) << 32 | (candidates.ordinal - first)
    found = np.isin(near.query.astype(np.int64) << 32 | near.corpus, keys)
    true = bench.groups[near.query] == bench.groups[near.corpus]
    recall = float(found[true].mean())
    default = plan_recall(TermPlan(), bench.links)
    return figure(
        f"recall of true pairs within {bench.radius} bits, among {_size(bench.crowd)}",
        "of brute force's",
        [recall],
        peer="brute force",
        peer_value=1.0,
        ratio=recall,
        target=">= .99",
        met=recall >= RECALL,
        quality=f"{found[true].sum():,} of {true.sum():,} pairs of {len(bench.labelled):,} "
        f"pictures, and {found[~true].sum():,} of {(~true).sum():,} chance pairs; "
        f"{described(segment.plan)}; the default plan finds {default:.4f}; planned on half of the "
        f"groups: {' and '.join(f'{one:.4f}' for one in held_out(bench))} of the other half's",
    )


def held_out(bench: Bench) -> list[float]:
    """What a plan made for every second group finds of the others' pairs, and the other way."""
    halves = [
        link_patterns(bench.labelled[rows], bench.groups[rows], bench.radius)
        for rows in (bench.groups % 2 == 0, bench.groups % 2 == 1)
    ]
    return [
        plan_recall(planned(bench.crowd, known, bench.radius, bench.costs), unknown)
        for known, unknown in (halves, halves[::-1])
    ]


def scan(bench: Bench, queries: int = 400) -> Figure:
    """The memtable's brute force beside FAISS's."""
    memtable = np.ascontiguousarray(bench.crowd[:MEMTABLE])
    planted, _ = plant(memtable, bench.links, queries, bench.rng)
    peer = flat(memtable)
    pairs_within(planted[:2], memtable[:2], bench.radius)  # compiled before it is timed
    repeats = 2 * REPEATS + 1
    ours, theirs = alternate(
        repeats,
        lambda _: pairs_within(planted, memtable, bench.radius),
        lambda _: found_within(peer, planted, bench.radius),
    )
    counts = (
        len(pairs_within(planted, memtable, bench.radius).query),
        sum(map(len, found_within(peer, planted, bench.radius))),
    )
    size = queries * MEMTABLE / 1e6
    row = compared(
        f"memtable scan, {MEMTABLE:,} pins, one thread",
        "M comparisons/s",
        [size / s for s in ours],
        "FAISS IndexBinaryFlat",
        [size / s for s in theirs],
        target="ratio >= 2",
        quality=f"pairs found: {counts[0]:,} and {counts[1]:,}",
    )
    row.met = row.ratio is not None and row.ratio >= 2
    return row


def _is_found(found: Found, pins: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether the pin that each query was made from is among its candidates, bool [q]."""
    hit = np.zeros(len(pins), np.bool_)
    candidates = found.candidates
    hit[candidates.query[candidates.ordinal == pins[candidates.query]]] = True
    return hit


def _size(crowd: Signatures) -> str:
    n = len(crowd)
    return f"{n // 10**6}M" if n >= 10**6 else f"{n // 1000}k"
