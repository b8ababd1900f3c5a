"""Plans and segments for the benchmark: each distribution of links has the plan made for it."""

import time

import numpy as np

from neardup.benchmarks.crowd import Signatures
from neardup.index.calibrate import calibrate
from neardup.index.costs import Costs
from neardup.index.planner import choose
from neardup.index.sample import draw
from neardup.index.segment import Segment, SegmentBlocks, build_segment, decode_segment
from neardup.index.terms import TermPlan, matches
from neardup.index.weighing import Wanted

RECALL = 0.99
_SAMPLE = 20_000


def prices() -> Costs:
    """This machine's, without scoring: what is found is scored whatever found it."""
    return calibrate(score=0, clock=time.thread_time)


def planned(
    crowd: Signatures, patterns: Signatures, radius: int, costs: Costs, pins: int | None = None
) -> TermPlan:
    """The cheapest plan that finds .99 of the patterns in a crowd of ``pins`` (its own size)."""
    sample = draw(np.asarray(crowd[:_SAMPLE]), patterns, radius)
    return choose(sample, costs, Wanted(pins or len(crowd), RECALL)).chosen.plan


def plan_recall(plan: TermPlan, patterns: Signatures) -> float:
    """The share of patterns uint8 [m, 128] that the plan finds, by brute force."""
    found = matches(plan, patterns, np.zeros_like(patterns)) >= plan.min_overlap
    return float(found.mean())


def built(signatures: Signatures, plan: TermPlan, first: int = 0) -> SegmentBlocks:
    """Blocks of pins from ordinal ``first`` on, with made-up ids."""
    n = len(signatures)
    ordinals = np.arange(first, first + n)
    hashes = np.random.default_rng(first).integers(0, 2**64, (n, 2), np.uint64)
    return build_segment((first, first + n), ordinals, signatures, hashes, ordinals, plan)


def segment_of(signatures: Signatures, plan: TermPlan) -> Segment:
    """Built and decoded, in memory."""
    return decode_segment(*built(signatures, plan))


def described(plan: TermPlan) -> str:
    """A plan in few words."""
    return (
        f"{plan.bands} bands of {plan.term_bits} bits, {plan.flips} flips, {plan.tail_flips} in "
        f"the tail, overlap {plan.min_overlap}"
    )
