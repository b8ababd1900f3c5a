"""One line for each fault: what the tables were like after the recovery."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from neardup.schemas.tables import TABLES
from tests.faults.system import System, contents, differences


@dataclass
class Line:
    """``place``: what happened; ``killed``: to what. ``tables`` is 0 where the system rightly
    stopped with a sentence instead, ``note``."""

    place: str
    killed: str
    equal: int = 0
    tables: int = 0
    rows: int = 0
    note: str = ""

    def __str__(self) -> str:
        found = f"{self.equal} of {self.tables} tables equal" if self.tables else "stopped"
        return f"{self.killed:20} {self.place:44} {found:22} {self.rows:6} rows  {self.note}"


LINES: list[Line] = []


def compare(
    killed: str,
    places: str | Sequence[str],
    calm: System,
    rough: System,
    tables: Collection[str] = TABLES,
    topics: bool = True,
) -> None:
    """Assert that all tables are equal after these faults, and note it for the table at the end."""
    expected, found = (
        {name: rows for name, rows in contents(system.lake, topics).items() if name in tables}
        for system in (calm, rough)
    )
    note(killed, places, expected, differences(expected, found), rough)


def note(
    killed: str,
    places: str | Sequence[str],
    expected: dict[str, list[str]],
    wrong: dict[str, str],
    rough: System,
) -> None:
    """Assert that nothing is wrong, and note what was compared."""
    rows = sum(map(len, expected.values()))
    for place in [places] if isinstance(places, str) else places:
        LINES.append(Line(place, killed, len(expected) - len(wrong), len(expected), rows))
    assert wrong == {}, f"after {places}:\n{rough.words(6000)}"


def stopped(killed: str, place: str, rough: System, sentence: str) -> None:
    """Assert that the system said why it does not go on, and note it."""
    assert sentence in rough.words(), rough.words()
    LINES.append(Line(place, killed, note=f'"...{sentence}..."'))


def write(path: Path) -> None:
    path.write_text(json.dumps([asdict(line) for line in LINES], indent=1), "utf-8")
