"""`neardup quarantine`"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neardup.cli.common import config_option, printable

if TYPE_CHECKING:
    from neardup.answers.quarantine import Choice
    from neardup.schemas.lake import Lake
    from neardup.schemas.settings import Settings

SHOWN_BYTES = 2_000


def choosing(command: Callable[..., None]) -> Callable[..., None]:
    """The options that choose rows."""
    for option in (
        click.option("--reason", help="Events of this reason alone."),
        click.option("--partition", type=click.IntRange(min=0), help="Of this partition."),
        click.option("--offset", type=click.IntRange(min=0), help="At this offset."),
        click.option("--topic-id", help="Of this topic, by its id; for a topic made anew."),
        click.option("--limit", type=click.IntRange(min=1), help="So many at most."),
    ):
        command = option(command)
    return command


@click.group()
def command() -> None:
    """Events that could not be used: list and show them, and send them again after a fix."""


@command.command("list")
@config_option
@choosing
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_command(config: Path | None, as_json: bool, **chosen: Any) -> None:
    """How many events each reason cost; with any choice, the events themselves, newest first."""
    from neardup.answers.quarantine import by_reason, listed

    lake = _lake(_settings(config))
    if not any(value is not None for value in chosen.values()):
        for row in by_reason(lake):
            _say(row, as_json, f"{row['events']:>10,}  {row['reason']:<20} {row['example']}")
        return
    for row in listed(lake, _choice(chosen)):
        when = row["kafka_time"].isoformat(timespec="seconds")
        position = f"{row['partition']}/{row['offset']}"
        _say(row, as_json, f"{position:>14}  {when}  {row['reason']:<20} {row['detail']}")


@command.command()
@config_option
@click.argument("partition", type=int)
@click.argument("offset", type=int)
@click.option("--topic-id", help="The topic's id, if several topics have such a position here.")
@click.option("--value", "value_alone", is_flag=True, help="Write the value's bytes, nothing else.")
def show(
    config: Path | None, partition: int, offset: int, topic_id: str | None, value_alone: bool
) -> None:
    """The event at PARTITION OFFSET: why it is here, and what it was."""
    from neardup.answers.quarantine import one
    from neardup.schemas.events import REASONS

    row = one(_lake(_settings(config)), partition, offset, topic_id)
    if value_alone:
        sys.stdout.buffer.write(row["value"] or b"")
        return
    meaning = REASONS.get(row["reason"], "a reason that this release does not know")
    click.echo(f"topic      {row['topic_id']}, partition {partition}, offset {offset}")
    click.echo(f"came       {row['kafka_time'].isoformat()}")
    click.echo(f"reason     {row['reason']}: {meaning}")
    click.echo(f"detail     {printable(row['detail'])}")
    click.echo(f"key        {_printable(row['key'])}")
    click.echo(f"value      {_printable(row['value'])}")


@command.command()
@config_option
@choosing
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--even-if-newer",
    is_flag=True,
    help="Also events of pins about which a later event was taken: the older one then wins.",
)
def replay(
    config: Path | None, dry_run: bool, yes: bool, even_if_newer: bool, **chosen: Any
) -> None:
    """Send quarantined events to the topic again, key and value as they came, oldest first.

    For events that will be taken now: because a setting or a defect was mended, or a file is there
    now. They come at new positions; their rows in quarantine stay.
    """
    from neardup.answers.quarantine import to_replay
    from neardup.streaming.replay import send_again

    settings = _settings(config)
    rows = to_replay(_lake(settings), _choice(chosen), even_if_newer)
    where = f"{settings.kafka.topic} at {settings.kafka.bootstrap_servers}"
    for reason in sorted({row["reason"] for row in rows}):
        click.echo(f"{sum(row['reason'] == reason for row in rows):>10,}  {reason}")
    if dry_run or not rows:
        click.echo(f"{len(rows):,} events would be sent to {where}; nothing was.")
        return
    if not yes:
        click.confirm(f"Send {len(rows):,} events to {where}?", abort=True)
    send_again(settings.kafka, rows)
    click.echo(f"{len(rows):,} events sent to {where}.")


def _settings(config: Path | None) -> "Settings":
    from neardup.schemas.settings import load_settings

    return load_settings(config)


def _lake(settings: "Settings") -> "Lake":
    from neardup.schemas.lake import Lake

    return Lake(settings.lake.path)


def _choice(chosen: dict[str, Any]) -> "Choice":
    from neardup.answers.quarantine import Choice

    return Choice(**{name: value for name, value in chosen.items() if value is not None})


def _say(row: dict[str, Any], as_json: bool, line: str) -> None:
    import json

    if as_json:
        plain = {k: _printable(v) if isinstance(v, bytes) else v for k, v in row.items()}
        line = json.dumps(plain, default=str)
    click.echo(printable(line))


def _printable(data: bytes | None) -> str:
    """The beginning of some bytes as people read them; what is no text is escaped."""
    if data is None:
        return "none"
    text = data[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
    plain = printable(text)
    return plain if len(data) <= SHOWN_BYTES else f"{plain} ... ({len(data):,} bytes)"
