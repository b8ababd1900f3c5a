"""`neardup query`"""

from pathlib import Path

import click

from neardup.cli.common import config_option


@click.command()
@click.argument("sql")
@config_option
def command(sql: str, config: Path | None) -> None:
    """Run SQL over the tables (pins, clusters ...) and views (clusters_current, cluster_sizes)."""
    from neardup.schemas.lake import Lake
    from neardup.schemas.settings import load_settings

    with Lake(load_settings(config).lake.path).connect() as connection:
        connection.sql(sql).show(max_width=200, max_rows=1000)
