"""Every query and every Python example of docs/queries.md runs and gives what it promises."""

import re
from pathlib import Path
from typing import Any

import pytest

from neardup.schemas.lake import Lake
from tests.lakes import garden

PAGE = (Path(__file__).parents[2] / "docs" / "queries.md").read_text("utf-8")
SQL = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder = tmp_path_factory.mktemp("garden")
    return garden(folder / "lake", folder)


def rows(lake: Lake, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in lake.rows(query)]


def test_answers(lake: Lake) -> None:
    current, biggest, together, arrived, belonged, last_hour, rejected, nights = SQL
    assert rows(lake, current) == [
        ("rose", 0, "rose"),
        ("rose-copy", 0, "rose"),
        ("tulip", 1, "tulip"),
        ("daisy", 4, "daisy"),
    ]
    assert rows(lake, biggest) == [(0, "rose", 2), (1, "tulip", 1), (4, "daisy", 1)]
    assert rows(lake, together) == [("rose",), ("rose-copy",)]
    assert [row[:3] for row in rows(lake, arrived)] == [(0, "add", 0)]
    assert rows(lake, belonged) == [(0, 0, 0, "rose")]
    seen = {pin: before for pin, _, before, _ in rows(lake, last_hour)}
    assert seen == {"rose": True, "rose-copy": True, "tulip": False, "daisy": False}
    assert rows(lake, rejected) == [("not_json", 1)]
    assert [row[0] for row in rows(lake, nights)] == [0]


@pytest.mark.parametrize("code", PYTHON)
def test_python_examples_run(
    code: str, lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(lake.path.parent)
    exec(code, {})  # noqa: S102
    assert capsys.readouterr().out.strip()
