"""`neardup report`"""

from pathlib import Path

import click

from neardup.cli.common import config_option


@click.command()
@config_option
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
)
@click.option("--clusters", default=100, show_default=True, help="How many, biggest first.")
def command(config: Path | None, out: Path, clusters: int) -> None:
    """Write one self-contained HTML page: clusters as rows of thumbnails, sizes, quarantine."""
    from neardup.answers.report import write_report
    from neardup.models.registry import classifier_of
    from neardup.schemas.lake import Lake
    from neardup.schemas.settings import load_settings

    settings = load_settings(config)
    lake = Lake(settings.lake.path)
    write_report(lake, classifier_of(lake, settings), out, clusters)
    click.echo(f"wrote {out}")
