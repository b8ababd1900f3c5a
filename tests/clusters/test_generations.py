"""Which generations may be removed: a pure function, and its table of cases."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from neardup.clusters.generations import outdated

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def events(*rows: tuple[int, str, int]) -> list[dict[str, Any]]:
    """(generation, status, hours ago) in their sequence."""
    return [
        {
            "sequence": i,
            "generation": generation,
            "status": status,
            "written_at": NOON - timedelta(hours=hours),
        }
        for i, (generation, status, hours) in enumerate(rows)
    ]


NIGHTS = [(0, "published", 96), (1, "published", 72), (2, "published", 48), (3, "published", 24)]


@pytest.mark.parametrize(
    ("case", "rows", "keep", "gone"),
    [
        ("all are kept", NIGHTS, 4, []),
        ("the oldest go", NIGHTS, 2, [0, 1]),
        ("order of rows", NIGHTS[::-1], 2, [2, 3]),
        ("one is current again", [*NIGHTS, (0, "published", 12)], 2, [1, 2]),
        ("one is prepared again", [*NIGHTS, (0, "prepared", 1)], 2, [1]),
        ("one is removed already", [*NIGHTS, (0, "removed", 1)], 2, [1]),
        ("one is prepared", [*NIGHTS, (4, "prepared", 1)], 2, [0, 1]),
        (
            "left a moment ago",
            [(0, "published", 9), (1, "published", 1), (2, "published", 1)],
            2,
            [],
        ),
        ("nothing is there", [], 2, []),
    ],
)
def test_outdated(case: str, rows: list[tuple[int, str, int]], keep: int, gone: list[int]) -> None:
    assert outdated(events(*rows), keep, NOON) == gone, case
