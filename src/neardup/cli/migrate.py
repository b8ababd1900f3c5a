"""`neardup migrate`"""

from pathlib import Path

import click

from neardup.cli.common import config_option


@click.command()
@config_option
def command(config: Path | None) -> None:
    """Bring the tables of an older format to this one; the stream must be stopped.

    Data files are not touched; the logs of the tables are, and a copy of them as they were is kept
    in the folder `_before` of the lake.
    """
    from neardup.schemas.migrate import migrate
    from neardup.schemas.settings import load_settings
    from neardup.schemas.tables import FORMAT_VERSION

    path = load_settings(config).lake.path
    old = migrate(path)
    for name, version in old.items():
        click.echo(f"{name}: format {version} -> {FORMAT_VERSION}")
    kept = f"; their logs as they were are in {path / '_before'}" if old else ""
    click.echo(f"All tables have format {FORMAT_VERSION}{kept}.")
