"""The term plan of a lake: one for all its segments, its memtable and every query.

A new plan is a row of ``plans``. Segments of another plan are not searched: whoever writes the lake
next builds them again under the current one.
"""

from datetime import UTC, datetime
from typing import Any

from neardup.index.terms import TermPlan
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake


def current_plan(lake: Lake) -> TermPlan:
    """The plan that counts. Raises LakeError if there is none, or none that this release knows."""
    newest = _newest(lake)
    if newest is None:
        raise LakeError(
            f"No term plan is in {lake.path}: `neardup stream` writes one at its start."
        )
    try:
        return TermPlan.from_json(newest["plan"])
    except (ValueError, TypeError) as error:
        raise LakeError(
            f"The newest plan in {lake.path / 'plans'} cannot be used ({error}): choose another "
            "with `neardup plan --apply`."
        ) from None


def ensure_plan(lake: Lake) -> TermPlan:
    """The plan that counts; the default one is recorded if the lake has none yet."""
    if _newest(lake) is None:
        record_plan(lake, TermPlan(), "default")
    return current_plan(lake)


def record_plan(lake: Lake, plan: TermPlan, reason: str) -> None:
    """Make ``plan`` the one that counts, from the next start of a writer on."""
    newest = _newest(lake)
    lake.append_rows(
        "plans",
        [
            {
                "sequence": 0 if newest is None else newest["sequence"] + 1,
                "plan": plan.to_json(),
                "version": plan.version,
                "reason": reason,
                "written_at": datetime.now(UTC),
            }
        ],
    )


def _newest(lake: Lake) -> dict[str, Any] | None:
    rows = lake.read("plans", ["sequence", "plan"]).to_pylist()
    return max(rows, key=lambda row: row["sequence"], default=None)
