"""`neardup rebuild`"""

import json
import logging
from pathlib import Path

import click

from neardup.cli.common import config_option, log_to_stderr


@click.command()
@config_option
@click.option(
    "--new",
    "new_config",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Settings of the lake that takes its place: another lake.path, another hasher.",
)
@click.option("--dry-run", is_flag=True, help="Say what the new lake lacks, and change nothing.")
@click.option("--accept-loss", is_flag=True, help="Though the new lake lacks events.")
def command(config: Path | None, new_config: Path, dry_run: bool, accept_loss: bool) -> None:
    """Put a lake of another hasher in the place of this one, with its words and cluster ids.

    Before, the new lake takes in the same events by `neardup backfill` and `neardup stream` with
    the settings NEW, while the old stream runs. Both streams must be stopped for this. The old lake
    stays, as LAKE.before.
    """
    from neardup.batch.rebuild import behind, change_places, lacking, take_over
    from neardup.schemas.lake import Lake
    from neardup.schemas.settings import load_settings

    log_to_stderr(logging.WARNING)
    settings, renewed = load_settings(config), load_settings(new_config)
    old, new = settings.lake.path, renewed.lake.path
    if old.exists():  # not if a run was killed between its two last steps
        if dry_run:
            lacks = behind(Lake(old), Lake(new))
            click.echo(lacking(lacks) or "The new lake has every event that the old one has.")
            return
        click.echo(json.dumps(take_over(Lake(old), Lake(new), renewed, accept_loss)))
    aside = change_places(old, new)
    click.echo(
        f"{old} is the new lake, the old one is {aside}. Set models.hasher and models.classifier "
        f"in {config or 'the settings'} as in {new_config}, and start the stream."
    )
