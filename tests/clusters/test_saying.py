"""What a person may write down, two at once, and what they are told."""

import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neardup.cli.main import cli
from neardup.clusters import saying
from neardup.clusters.people import commit_waiting
from neardup.clusters.saying import MAX_WHO, MAX_WHY, say
from neardup.schemas.errors import OverrideError
from neardup.schemas.lake import Lake
from tests.lakes import garden


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    (tmp_path / "store").mkdir()
    return garden(tmp_path / "lake", tmp_path / "store")


def run(lake: Lake, *words: str) -> Result:
    environment = {"NEARDUP_LAKE__PATH": str(lake.path)}
    return CliRunner().invoke(cli, ["override", *words], env=environment)


def test_who_and_why_are_bounded(lake: Lake) -> None:
    say(lake, "block", "a" * MAX_WHO, "b" * MAX_WHY, pin_id="rose")
    with pytest.raises(OverrideError, match=r"--who has 201 characters; at most 200"):
        say(lake, "block", "a" * (MAX_WHO + 1), "b", pin_id="tulip")
    with pytest.raises(OverrideError, match=r"--why has 2,001 characters; at most 2,000"):
        say(lake, "block", "a", "b" * (MAX_WHY + 1), pin_id="tulip")
    assert lake.dataset("overrides").count_rows() == 1


def test_two_at_once_are_said_one_after_the_other(lake: Lake) -> None:
    """The second waits, and is checked against what the first said."""
    told = threading.Event()

    def second() -> None:
        with pytest.raises(OverrideError, match="rose = tulip"):
            say(Lake(lake.path), "unlink", "bob", "two", pin_id="rose", other="tulip")
        told.set()

    with lake.lease("override"):
        speaker = threading.Thread(target=second)
        speaker.start()
        row = {"sequence": 0, "kind": "link", "pin_id": "rose", "other": "tulip", "who": "ann"}
        written = lake.read("pins", ["event_time"])["event_time"][0].as_py()
        assert not told.wait(0.3)
        lake.append_rows("overrides", [{**row, "why": "one", "written_at": written}])
    speaker.join()
    assert told.is_set() and lake.dataset("overrides").count_rows() == 1


def test_who_waits_too_long_is_told(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saying, "PATIENCE", 0.2)
    with lake.lease("override"), pytest.raises(OverrideError, match="Another `neardup override`"):
        say(Lake(lake.path), "block", "bob", "a logo", pin_id="rose")


def test_the_list_marks_what_waits_and_the_command_says_when_it_counts(lake: Lake) -> None:
    said = run(lake, "link", "rose", "tulip", "--who", "ann", "--why", "one bed")
    assert "No stream runs on this machine: it counts from the stream's next start" in said.stderr
    assert run(lake, "list").output.rstrip().endswith("waits for the stream")
    assert '"waits": true' in run(lake, "list", "--json").output
    assert commit_waiting(lake) == 1
    assert "waits" not in run(lake, "list").output
    with lake.lease("stream"):
        said = run(lake, "block", "daisy", "--who", "ann", "--why", "a logo")
    assert "takes this up within about a second" in said.stderr
    assert "next compaction acts on it" in run(lake, "forget", "0", "--why", "a mistake").stderr
