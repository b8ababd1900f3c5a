"""Which figures count as worse."""

import pytest

from neardup.benchmarks.figures import Figure
from neardup.benchmarks.regress import worse


def row(ratio: float | None, unit: str = "s", figure: str = "a batch") -> Figure:
    return Figure(bench="stream", figure=figure, value=1.0, unit=unit, peer="Spark", ratio=ratio)


@pytest.mark.parametrize(
    ("old", "new", "unit", "told"),
    [
        (1.0, 1.2, "s", False),
        (1.0, 1.4, "s", True),
        (1.0, 0.5, "s", False),
        (0.5, 0.3, "events/s", True),
        (0.5, 0.9, "events/s", False),
        (0.5, None, "s", False),
        (None, 2.0, "s", False),
    ],
)
def test_a_ratio_is_worse_beyond_the_noise(
    old: float | None, new: float | None, unit: str, told: bool
) -> None:
    assert bool(worse([row(old, unit)], [row(new, unit)])) == told


def test_figures_that_were_never_stored_are_no_news() -> None:
    assert worse([row(1.0, figure="another")], [row(9.0)]) == []
