"""One line for each fault: what the tables were like after the recovery."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from neardup.schemas.tables import TABLES
from tests.faults.system import System, contents, differences


@dataclass
class Line:
    """``tables`` is 0 where the system rightly stopped with a sentence instead."""

    fault: str
    equal: int = 0
    tables: int = 0
    rows: int = 0
    note: str = ""

    def __str__(self) -> str:
        found = f"{self.equal} of {self.tables} tables equal" if self.tables else "stopped"
        return f"{self.fault:44} {found:22} {self.rows:6} rows  {self.note}"


LINES: list[Line] = []


def compare(fault: str, calm: System, rough: System, topics: bool = True) -> None:
    """Assert that all tables are equal, and note it for the table at the end."""
    contents_equal(fault, calm, rough, list(TABLES), topics)


def contents_equal(
    fault: str, calm: System, rough: System, tables: list[str], topics: bool = True
) -> None:
    """Assert that these tables are equal."""
    expected, found = (
        {name: rows for name, rows in contents(system.lake, topics).items() if name in tables}
        for system in (calm, rough)
    )
    wrong = differences(expected, found)
    rows = sum(map(len, expected.values()))
    LINES.append(Line(fault, len(expected) - len(wrong), len(expected), rows))
    assert wrong == {}, f"after {fault}:\n{rough.words(6000)}"


def stopped(fault: str, rough: System, sentence: str) -> None:
    """Assert that the system said why it does not go on, and note it."""
    assert sentence in rough.words(), rough.words()
    LINES.append(Line(fault, note=f'"...{sentence}..."'))


def write(path: Path) -> None:
    path.write_text(json.dumps([asdict(line) for line in LINES], indent=1), "utf-8")
