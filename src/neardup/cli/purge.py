"""`neardup purge`"""

import json
from pathlib import Path

import click

from neardup.cli.common import config_option


@click.command()
@click.argument("pin_ids", nargs=-1, required=True, metavar="PIN_ID...")
@config_option
def command(pin_ids: tuple[str, ...], config: Path | None) -> None:
    """Erase deleted pins from every file of the lake, for good; the stream must be stopped.

    Out of its reach, and up to you: Kafka's topics (their retention), backups, Spark's own logs,
    pictures kept elsewhere, and decoded segments on other hosts, which no longer search them.
    """
    from neardup.batch.purge import purge
    from neardup.schemas.lake import Lake
    from neardup.schemas.settings import load_settings

    click.echo(json.dumps(purge(Lake(load_settings(config).lake.path), list(pin_ids))))
