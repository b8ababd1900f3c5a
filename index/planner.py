"""The cost-based optimizer: the term plan that finds enough of the links in the least time.

What a plan finds and reads is counted on a sample of the lake (``index.sample``), what a step costs
is measured on the machine (``index.calibrate``). The choice among some fourteen thousand plans is a
pure function of the two and of what is wanted: equal input gives an equal plan.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from neardup.index.costs import Costs
from neardup.index.curves import TERM_BITS
from neardup.index.sample import Sample
from neardup.index.terms import TAIL_BITS, TermPlan
from neardup.index.weighing import (
    FEWEST_TAIL_FLIPS,
    SLOWER,
    TOO_BLIND,
    TOO_LARGE,
    Grid,
    Wanted,
    Weighed,
)
from neardup.schemas.errors import SettingsError

BANDS = (32, 48, 64, 80, 96, 112, 128, 160, 192, 256)
CHOSEN = "chosen"

_ORDER = (CHOSEN, SLOWER, TOO_LARGE, TOO_BLIND)


class Choice(NamedTuple):
    """The ``chosen`` plan of so many ``plans``, and the best of the others.

    ``best``: for each number of bands and of flips the fastest plan that fulfils what is wanted, or
    the nearest to it; fastest first, those that lost for another reason last. ``neighbours``: the
    chosen plan with one number changed.
    """

    chosen: Weighed
    best: list[Weighed]
    neighbours: list[Weighed]
    plans: int


class Review(NamedTuple):
    """The plan in use and the one that would be chosen, weighed alike."""

    present: Weighed
    best: Weighed


def choose(sample: Sample, costs: Costs, wanted: Wanted) -> Choice:
    """The plan with the least expected seconds of those that fulfil what is ``wanted``.

    Raises SettingsError if none does: what comes nearest, and what it costs.
    """
    grids = [Grid(sample, costs, wanted, bands) for bands in BANDS]
    fitting = [row for grid in grids for row in grid.fastest(grid.fits)]
    if not fitting:
        raise SettingsError(_nothing_fits(grids, wanted))
    chosen = min(fitting, key=lambda row: row.seconds)._replace(verdict=CHOSEN)
    best = [row for grid in grids for flips in (0, 1) for row in _best(grid, flips)]
    best = [chosen if row.plan == chosen.plan else row for row in best]
    best.sort(key=lambda row: (_ORDER.index(row.verdict), row.seconds))
    grid = grids[BANDS.index(chosen.plan.bands)]
    neighbours = [grid.weighed(plan) for plan in _neighbours(chosen.plan)]
    return Choice(chosen, best, neighbours, sum(int(grid.all.sum()) for grid in grids))


def weigh(plan: TermPlan, sample: Sample, costs: Costs, wanted: Wanted) -> Weighed:
    """What a plan finds and costs, whatever its recall and bytes; its own seed counts.

    Raises ValueError for terms of fewer than 12 bits and overlaps beyond 2.
    """
    return Grid(sample, costs, replace(wanted, seed=plan.seed), plan.bands).weighed(plan)


def review(plan: TermPlan, sample: Sample, costs: Costs, wanted: Wanted) -> Review:
    """The plan in use beside the best one: milliseconds, once the sample's curves are counted.

    Both are weighed with the bands of ``wanted.seed``. If the links were found by the plan in use,
    that must not be its own seed: the very bands that found all of them would find them again.
    Raises SettingsError if no plan fulfils what is wanted.
    """
    present = weigh(replace(plan, seed=wanted.seed), sample, costs, wanted)
    return Review(present._replace(plan=plan), choose(sample, costs, wanted).chosen)


def _best(grid: Grid, flips: int) -> list[Weighed]:
    """The fastest plan that fits; else the fastest that sees enough; else what sees most."""
    only = grid.with_flips(flips)
    return (
        grid.fastest(grid.fits & only)
        or grid.fastest(grid.sees & only)
        or grid.most_recall(grid.all & only)
    )


def _neighbours(plan: TermPlan) -> Iterator[TermPlan]:
    changes: list[dict[str, Any]] = [
        {"term_bits": plan.term_bits - 1},
        {"term_bits": plan.term_bits + 1},
        {"flips": 1 - plan.flips},
        {"tail_flips": plan.tail_flips - 1},
        {"tail_flips": plan.tail_flips + 1},
        {"tail_flips": TAIL_BITS},
        {"min_overlap": 3 - plan.min_overlap},
    ]
    for change in changes:
        k = change.get("term_bits", plan.term_bits)
        t = change.get("tail_flips", plan.tail_flips)
        if k in TERM_BITS and FEWEST_TAIL_FLIPS <= t <= TAIL_BITS:
            yield replace(plan, **change)


def _nothing_fits(grids: list[Grid], wanted: Wanted) -> str:
    """What is impossible, how near it is, and what would do."""
    text = (
        f"No plan finds {wanted.recall:g} of the links within {wanted.bytes_per_pin:,.0f} bytes a "
        f"pin, at {wanted.pins:,} pins."
    )
    within = [row for grid in grids for row in grid.most_recall(grid.small)]
    if within:
        text += f" Within them, most is found by {_facts(max(within, key=_recall))}."
    enough = [row for grid in grids for row in grid.fastest(grid.sees)]
    if enough:
        smallest = min(enough, key=lambda row: (row.bytes_per_pin, row.seconds))
        return f"{text} Enough is found by {_facts(smallest)}: allow as many bytes."
    most = max((row for grid in grids for row in grid.most_recall(grid.all)), key=_recall)
    return f"{text} The most that any plan finds: {_facts(most)}. Ask for less recall."


def _recall(row: Weighed) -> float:
    return row.recall


def _facts(row: Weighed) -> str:
    plan = row.plan
    return (
        f"{plan.bands} bands of {plan.term_bits} bits, {plan.flips} of them flipped, "
        f"{plan.tail_flips} in the tail, overlap {plan.min_overlap} (recall {row.recall:.4f}, "
        f"{row.seconds * 1e6:,.0f} us a query, {row.bytes_per_pin:,.0f} bytes a pin)"
    )
