"""A plan for a lake, from a sample of its own pins and links."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from neardup.index.costs import Costs
from neardup.index.density import Density, describe
from neardup.index.lake_sample import draw_from
from neardup.index.planner import Choice, choose, weigh
from neardup.index.plans import current_plan, record_plan
from neardup.index.sample import Sample, draw
from neardup.index.terms import TermPlan
from neardup.index.weighing import Wanted, Weighed
from neardup.schemas.lake import Lake


@dataclass(frozen=True)
class Planned:
    """What was measured, what was weighed, and the plan that the lake has now.

    All plans are weighed with bands of another seed than the present plan's. Its links are those
    that its own bands found: over them its recall would be 1.

    ``typical_links``: the lake has too few links of its own yet, these are typical ones.
    """

    density: Density
    typical_links: bool
    costs: Costs
    wanted: Wanted
    choice: Choice
    present: Weighed

    def figures(self) -> dict[str, Any]:
        """All of it as what JSON holds."""
        choice = self.choice
        return {
            "density": asdict(self.density),
            "typical_links": self.typical_links,
            "costs": asdict(self.costs),
            "wanted": asdict(self.wanted),
            "plans": choice.plans,
            "chosen": _figures(choice.chosen),
            "present": _figures(self.present),
            "best": [_figures(row) for row in choice.best],
            "neighbours": [_figures(row) for row in choice.neighbours],
        }


def plan_for(
    lake: Lake,
    radius: int,
    costs: Costs,
    max_scored: int,
    recall: float = 0.99,
    bytes_per_pin: float = 1024.0,
    pins: int | None = None,
) -> Planned:
    """The best plan for ``pins`` pins (as many as now if None) that find pairs within ``radius``.

    Raises LakeError if the lake has no pins, SettingsError if no plan does what is wanted.
    """
    plan = current_plan(lake)
    drawn = draw_from(lake, plan)
    sample = draw(drawn.signatures, drawn.links, radius, drawn.weights)
    wanted = Wanted(
        pins=pins or drawn.pins,
        recall=recall,
        bytes_per_pin=bytes_per_pin,
        max_scored=max_scored,
        seed=plan.seed + 1,
    )
    return Planned(
        density=describe(sample, wanted.seed),
        typical_links=drawn.typical,
        costs=costs,
        wanted=wanted,
        choice=choose(sample, costs, wanted),
        present=_present(plan, sample, costs, wanted),
    )


def _present(plan: TermPlan, sample: Sample, costs: Costs, wanted: Wanted) -> Weighed:
    row = weigh(replace(plan, seed=wanted.seed), sample, costs, wanted)
    return row._replace(plan=plan, verdict="the lake's plan now")


def adopt(lake: Lake, planned: Planned) -> None:
    """Make the chosen plan the lake's. Raises StreamError while a stream or a backfill runs."""
    chosen, wanted = planned.choice.chosen, planned.wanted
    with lake.lease("stream"):
        record_plan(
            lake,
            chosen.plan,
            f"planned for {wanted.pins} pins and recall {wanted.recall:g}: expected recall "
            f"{chosen.recall:.4f}, {chosen.seconds * 1e6:.0f} us a query, "
            f"{chosen.bytes_per_pin:.0f} bytes a pin",
        )


def _figures(row: Weighed) -> dict[str, Any]:
    return {**row._asdict(), "plan": json.loads(row.plan.to_json())}
