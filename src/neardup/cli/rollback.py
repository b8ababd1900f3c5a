"""`neardup rollback`"""

from pathlib import Path

import click

from neardup.cli.common import config_option, log_to_stderr


@click.command()
@click.argument("generation", type=click.IntRange(min=0))
@config_option
def command(generation: int, config: Path | None) -> None:
    """Make an older GENERATION of the clusters the current one, with all batches since in it."""
    from neardup.batch.publishing import rollback
    from neardup.schemas.settings import load_settings

    settings = load_settings(config)
    log_to_stderr()
    rollback(settings, generation)
    click.echo(f"generation {generation} is the current one")
