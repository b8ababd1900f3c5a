"""`neardup show`"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neardup.cli.common import config_option, printable

if TYPE_CHECKING:
    from neardup.answers.show import Shown


@click.command()
@click.argument("cluster")
@config_option
@click.option(
    "--limit",
    default=50,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Pins on a page.",
)
@click.option(
    "--after",
    default=-1,
    type=click.IntRange(min=-1),
    help="Only pins after this ordinal; each page ends with the command for the next.",
)
def command(cluster: str, config: Path | None, limit: int, after: int) -> None:
    """A page of the pins of CLUSTER: a cluster's id, or the id of any pin in it."""
    from neardup.answers.show import show
    from neardup.models.registry import classifier_of
    from neardup.schemas.lake import Lake
    from neardup.schemas.settings import load_settings

    settings = load_settings(config)
    lake = Lake(settings.lake.path)
    shown = show(lake, classifier_of(lake, settings), cluster, limit, after)
    pins = "1 pin" if shown.pins == 1 else f"{shown.pins:,} pins"
    click.echo(
        f"cluster {shown.cluster_id}: {pins}, head {printable(shown.head)}, "
        f"best copy {printable(shown.best)}"
    )
    for pin in shown.members:
        click.echo(_pin(shown, pin))
    if not shown.members:
        click.echo(f"no pins after ordinal {after}")
    for row in shown.said:
        click.echo(_said(row))
    if shown.next_after is not None:
        where = "" if config is None else f" --config {shlex.quote(str(config))}"
        click.echo(
            f"next page: neardup show {shown.cluster_id} --after {shown.next_after} "
            f"--limit {limit}{where}"
        )


def _pin(shown: "Shown", pin: dict[str, Any]) -> str:
    size = f"{pin['width']}x{pin['height']}" if pin["width"] else "-"
    score = "-" if pin["probability"] is None else f"{pin['probability']:.4f}"
    marks = ["head"] * pin["is_head"] + ["best"] * (pin["pin_id"] == shown.best)
    when = pin["event_time"].isoformat(timespec="seconds")
    line = f"{printable(pin['pin_id']):<40} {when} {size:>11} {score:>7}  {' '.join(marks)}"
    return line.rstrip()


def _said(row: dict[str, Any]) -> str:
    """A row of ``overrides``; of a move also the pin whose cluster was left."""
    names = " ".join(printable(pin) for pin in (row["pin_id"], row["other"]) if pin)
    left = f", away from {printable(row['left'])}" if row["left"] else ""
    who, why = printable(row["who"]), printable(row["why"])
    return f"override #{row['sequence']}: {row['kind']} {names}{left} ({who}: {why})"
