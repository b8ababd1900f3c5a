"""`neardup override`"""

import getpass
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from neardup.cli.common import config_option, printable


@click.group()
def command() -> None:
    """Say what you know about pins: it outlives every recompute.

    A running stream takes it up within about a second; without one it holds from the next start of
    the stream, or from the next compaction, on.
    """


def _spoken(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every statement."""
    who = click.option("--who", default=getpass.getuser, help="Who says it; by default you.")
    why = click.option("--why", required=True, help="The reason, for whoever reads it later.")
    options: Callable[..., Any] = who(why(config_option(function)))
    return options


@command.command()
@click.argument("a")
@click.argument("b")
@_spoken
def link(a: str, b: str, **said: Any) -> None:
    """Pins A and B are together: their clusters become one."""
    _say("link", pin_id=a, other=b, **said)


@command.command()
@click.argument("a")
@click.argument("b")
@_spoken
def unlink(a: str, b: str, **said: Any) -> None:
    """Pins A and B are apart, whatever they look like."""
    _say("unlink", pin_id=a, other=b, **said)


@command.command()
@click.argument("a")
@click.argument("to")
@_spoken
def move(a: str, to: str, **said: Any) -> None:
    """Pin A leaves its cluster and joins TO, a pin or the id of a cluster."""
    _say("move", pin_id=a, other=to, **said)


@command.command()
@click.argument("a")
@_spoken
def block(a: str, **said: Any) -> None:
    """Pin A stays alone, and its links count for nothing."""
    _say("block", pin_id=a, **said)


@command.command()
@click.argument("number", type=click.IntRange(min=0))
@_spoken
def forget(number: int, **said: Any) -> None:
    """What row NUMBER of the list says holds no longer; the next compaction acts on that."""
    _say("forget", forgets=number, **said)


@command.command("list")
@click.option("--all", "everything", is_flag=True, help="What was taken back, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a row.")
@config_option
def show(everything: bool, as_json: bool, config: Path | None) -> None:
    """What holds, with who said it and why; what no batch has taken into the log yet is marked."""
    from neardup.clusters.overrides import in_force
    from neardup.clusters.people import heard
    from neardup.schemas.lake import Lake
    from neardup.schemas.settings import load_settings

    lake = Lake(load_settings(config).lake.path)
    rows = lake.read("overrides").sort_by("sequence").to_pylist()
    last = max(heard(lake), default=-1)
    for row in rows if everything else in_force(rows):
        waits = row["sequence"] > last
        if as_json:
            when = row["written_at"].isoformat()
            click.echo(json.dumps({**row, "written_at": when, "waits": waits}))
        else:
            click.echo(_line(row) + ("  waits for the stream" if waits else ""))


def _say(kind: str, who: str, why: str, config: Path | None, **names: Any) -> None:
    from neardup.clusters.saying import say
    from neardup.infra.holders import holder
    from neardup.schemas.lake import Lake
    from neardup.schemas.settings import load_settings

    lake = Lake(load_settings(config).lake.path)
    spoken = say(lake, kind, who, why, **names)
    click.echo(_line(spoken.row))
    click.echo(_when(holder(lake.path / ".stream.lock"), kind), err=True)
    for pin_id in spoken.absent:
        click.echo(
            f"{printable(pin_id)} is no live pin: this holds when one of that name comes.", err=True
        )


def _when(writer: int | None, kind: str) -> str:
    """When it counts; ``writer``: the process that writes the lake, as far as this machine sees."""
    if kind == "forget":
        return "The next compaction acts on it."
    if writer is not None:
        return f"Process {writer} writes the lake and takes this up within about a second."
    return (
        "No stream runs on this machine: it counts from the stream's next start, or from the next "
        "compaction, on."
    )


def _line(row: Any) -> str:
    pins = [row["pin_id"], row["other"]] if row["kind"] != "forget" else [f"#{row['forgets']}"]
    names = " ".join(printable(pin) for pin in pins if pin)
    said = f"{printable(row['who'])}: {printable(row['why'])}"
    return f"#{row['sequence']} {row['kind']} {names} ({row['written_at']:%Y-%m-%d %H:%M}, {said})"
