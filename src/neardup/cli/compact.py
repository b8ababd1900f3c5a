"""`neardup compact`"""

import json
from pathlib import Path

import click

from neardup.cli.common import config_option, log_to_stderr


@click.command()
@config_option
@click.option("--force", is_flag=True, help="However many pins would move.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
def command(config: Path | None, force: bool, dry_run: bool) -> None:
    """Re-run the k-cut over the log and publish a new generation, with or without a stream.

    Only what something happened to since the last time is recomputed. Stops, and publishes nothing,
    if more pins would move than compact.max_moved_share allows.
    """
    from neardup.batch.compact import compact
    from neardup.schemas.settings import load_settings

    settings = load_settings(config)
    log_to_stderr()
    click.echo(json.dumps(compact(None, settings, force, dry_run)))
