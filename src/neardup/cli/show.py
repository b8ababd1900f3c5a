"""`neardup show`"""

from pathlib import Path

import click

from neardup.cli.common import config_option


@click.command()
@click.argument("cluster")
@config_option
@click.option("--limit", default=50, show_default=True, help="Pins on a page.")
@click.option("--page", default=1, show_default=True, type=click.IntRange(min=1))
def command(cluster: str, config: Path | None, limit: int, page: int) -> None:
    """The pins of CLUSTER: a cluster's id, or the id of any pin in it."""
    from neardup.answers.show import cluster_of, members
    from neardup.schemas.lake import Lake
    from neardup.schemas.settings import load_settings

    lake = Lake(load_settings(config).lake.path)
    cluster_id = cluster_of(lake, cluster)
    click.echo(f"cluster {cluster_id}")
    for pin in members(lake, cluster_id, limit, (page - 1) * limit):
        size = f"{pin['width']}x{pin['height']}" if pin["width"] else "-"
        score = "-" if pin["probability"] is None else f"{pin['probability']:.4f}"
        head = "head" if pin["is_head"] else ""
        when = pin["event_time"].isoformat(timespec="seconds")
        click.echo(f"{pin['pin_id']:<40} {when} {size:>11} {score:>7}  {head}")
