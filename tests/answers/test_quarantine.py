"""`neardup quarantine`: what is listed, what is shown, and what may be sent again."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from neardup.answers.quarantine import Choice, to_replay
from neardup.cli.main import cli
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake
from tests.lakes import pin

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def rejected(offset: int, key: bytes | None, value: bytes | None, reason: str) -> dict[str, Any]:
    return {
        "topic_id": "t",
        "partition": 0,
        "offset": offset,
        "key": key,
        "value": value,
        "reason": reason,
        "detail": f"the detail of {offset}",
        "kafka_time": BEGIN + timedelta(seconds=offset),
    }


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake.create(tmp_path / "lake")
    lake.append_rows(
        "quarantine",
        [
            rejected(1, b"rose", b"{rose", "not_json"),
            rejected(2, b"tulip", b"{tulip", "uri_not_found"),
            rejected(3, b"\xff\xfe", b"\x00\x01", "invalid_field"),
            rejected(4, None, None, "missing_key"),
            rejected(6, b"tulip", b"{tulip", "uri_not_found"),  # sent again, in vain
        ],
    )
    lake.append_rows("pins", [pin("rose", 0, 5, ordinal=0, signature=bytes(128))])
    (tmp_path / "neardup.toml").write_text(
        '[lake]\npath = "lake"\n[kafka]\nbootstrap_servers = "127.0.0.1:1"\n', "utf-8"
    )
    return lake


def run(lake: Lake, *words: str) -> Result:
    config = str(lake.path.parent / "neardup.toml")
    return CliRunner().invoke(cli, ["quarantine", words[0], "--config", config, *words[1:]])


def offsets(lake: Lake, *choice: Any, **more: Any) -> list[int]:
    return [row["offset"] for row in to_replay(lake, *choice, **more)]


def test_reasons_and_then_events(lake: Lake) -> None:
    reasons = run(lake, "list").output.splitlines()
    assert [line.split()[:2] for line in reasons] == [
        ["2", "uri_not_found"],
        ["1", "invalid_field"],
        ["1", "missing_key"],
        ["1", "not_json"],
    ]
    events = run(lake, "list", "--reason", "uri_not_found", "--json").output.splitlines()
    assert [json.loads(line)["offset"] for line in events] == [6, 2]
    assert "0/6" in run(lake, "list", "--limit", "1").output


def test_one_event(lake: Lake) -> None:
    said = run(lake, "show", "0", "3").output
    assert "a field has the wrong type" in said and "the detail of 3" in said
    assert r"\xff\xfe" in said and r"\x00\x01" in said
    assert run(lake, "show", "--value", "0", "3").stdout_bytes == b"\x00\x01"
    assert "value      none" in run(lake, "show", "0", "4").output
    with pytest.raises(LakeError, match=r"No event of partition 0, offset 99 is in quarantine"):
        raise run(lake, "show", "0", "99").exception or AssertionError


def test_a_terminal_is_not_told_what_to_do(lake: Lake) -> None:
    evil = rejected(9, b"\x1b]0;mine\x07", b"\x1b[2J", "not_json") | {"detail": "\x1b[2J"}
    lake.append_rows("quarantine", [evil])
    for words in (["list", "--limit", "9"], ["show", "0", "9"]):
        said = run(lake, *words).output
        assert "\x1b" not in said and r"\x1b[2J" in said


def test_a_reason_that_is_none(lake: Lake) -> None:
    assert lake.path.exists()
    with pytest.raises(LakeError, match="There is no reason 'too_pretty'"):
        Choice(reason="too_pretty")


def test_what_is_sent_again(lake: Lake) -> None:
    """Not rose, of which a later event was taken; tulip, which is here twice, once."""
    assert offsets(lake, Choice()) == [3, 4, 6]
    assert offsets(lake, Choice(), even_if_newer=True) == [1, 3, 4, 6]
    assert offsets(lake, Choice(reason="invalid_field")) == [3]
    assert offsets(lake, Choice(partition=0, offset=4)) == [4]
    assert offsets(lake, Choice(limit=2)) == [3, 4]
    (row,) = to_replay(lake, Choice(offset=3))
    assert (row["key"], row["value"]) == (b"\xff\xfe", b"\x00\x01")


def test_a_pin_that_changed_its_partition(lake: Lake) -> None:
    """Partitions were added: tulip goes to another one since. Offsets say nothing there."""
    when = {"event_time": BEGIN + timedelta(seconds=5), "partition": 7}
    lake.append_rows("pins", [pin("tulip", 1, 0, kind="delete", **when)])
    assert offsets(lake, Choice()) == [3, 4, 6], "the newest tulip came after that"
    when["event_time"] += timedelta(seconds=2)
    lake.append_rows("pins", [pin("tulip", 2, 1, kind="delete", **when)])
    assert offsets(lake, Choice()) == [3, 4]


def test_nothing_is_sent_in_a_dry_run_or_without_a_yes(lake: Lake) -> None:
    dry = run(lake, "replay", "--dry-run")
    assert dry.exit_code == 0 and "3 events would be sent to pins" in dry.output
    asked = run(lake, "replay")
    assert asked.exit_code == 1 and "Send 3 events" in asked.output and "Aborted" in asked.output
    tried = run(lake, "replay", "--yes")
    assert "No Kafka broker" in str(tried.exception)
