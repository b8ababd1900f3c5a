"""`neardup repair`"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neardup.cli.common import config_option, printable

if TYPE_CHECKING:
    from neardup.answers.refold import Evidences
    from neardup.schemas.lake import Lake
    from neardup.schemas.settings import Settings


@click.command()
@config_option
@click.option("--dry-run", is_flag=True, help="Say what is wrong and what would be done.")
@click.option(
    "--accept-loss",
    is_flag=True,
    help="Go on without lost rows of `quarantine`, `losses` or `disagreements`.",
)
def command(config: Path | None, dry_run: bool, accept_loss: bool) -> None:
    """Make again what is damaged, from the log; the stream must be stopped.

    Nothing is deleted: damaged tables are set aside, in the folder `_damaged` of the lake. What
    nothing can be made from, `pins` and `overrides`, is named, and nothing is changed then. The
    exit code is 1 if something is wrong, or still wrong.
    """
    from functools import partial

    from neardup.answers.repair import Repair
    from neardup.schemas.settings import load_settings

    settings = load_settings(config)
    evidences = partial(_evidences, settings)
    repair = Repair(settings.lake.path, evidences, settings.stream.flush_pins, _say)
    if dry_run:
        sound = repair.look()
        click.echo("Nothing is wrong." if sound else "Nothing was changed.")
        sys.exit(not sound)
    report = repair.run(accept_loss)
    for outcome in report.outcomes:
        if not outcome.ok:
            _say(f"still wrong: {outcome.check}: {outcome.rule}. {outcome.mend}")
    click.echo("All checks of `neardup verify` hold." if report.ok else "Not all is well.")
    sys.exit(not report.ok)


def _say(text: str) -> None:
    for line in text.splitlines():
        click.echo(printable(line))


def _evidences(settings: "Settings", lake: "Lake") -> "Evidences":
    """The classifiers that decided, from which batch on each; that of the settings if none did."""
    from neardup.answers.refold import Evidences
    from neardup.clusters.evidence import evidence_of
    from neardup.models.registry import STREAM, Registry, classifier_of

    registry = Registry(lake)
    used = [(row["batch_seq"], row["version"]) for row in registry.uses() if row["role"] == STREAM]
    if not used:
        return Evidences(((0, evidence_of(classifier_of(lake, settings), settings)),))
    return Evidences(
        tuple((batch, evidence_of(registry.load(version), settings)) for batch, version in used)
    )
