"""The places at which a test may end the process: each stands in the code once, and works."""

import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from neardup.schemas.crash import PLACES, VARIABLE

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("schemas", "infra", "models", "index", "clusters", "streaming", "batch", "answers")


def test_each_place_stands_in_the_code_once() -> None:
    code = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    found = Counter(
        name
        for path in code
        if path.name != "crash.py"
        for name in re.findall(r'crash_point\("([^"]+)"\)', path.read_text("utf-8"))
    )
    assert found == Counter(PLACES.keys())


def reached(wanted: str | None, *places: str) -> "subprocess.CompletedProcess[str]":
    calls = "; ".join(f"crash_point({place!r}); print({place!r})" for place in places)
    return subprocess.run(
        [sys.executable, "-c", f"from neardup.schemas.crash import crash_point; {calls}"],
        env={"PYTHONUNBUFFERED": "1", **({VARIABLE: wanted} if wanted else {})},
        capture_output=True,
        text=True,
    )


def test_the_process_ends_at_the_wanted_place_the_wanted_time() -> None:
    places = ("merge.built", "merge.written", "merge.built")
    assert reached(None, *places).returncode == 0
    ended = reached("merge.built:2", *places)
    assert (ended.returncode, ended.stdout.split()) == (-signal.SIGKILL, list(places[:2]))
    assert reached("pins.after", "pins.before", "pins.after").stdout.split() == ["pins.before"]


@pytest.mark.parametrize("wrong", ["merge.bulit", "pins.after:x"])
def test_a_misspelt_place_is_not_passed_over(wrong: str) -> None:
    ended = reached(wrong, "merge.built")
    assert ended.returncode == 1 and wrong in ended.stderr
