"""`neardup lookup`"""

import sys
from pathlib import Path

import click

from neardup.cli.common import config_option


@click.command()
@click.argument("image", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@config_option
@click.option("--limit", default=20, show_default=True, help="Pins to list at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(image: Path, config: Path | None, limit: int, as_json: bool) -> None:
    """Was IMAGE used before? Lists similar pins, best first; exit code 1 if none is a duplicate."""
    import json
    from dataclasses import asdict

    from neardup.answers.lookup import lookup
    from neardup.schemas.settings import load_settings

    matches = lookup(load_settings(config), image.read_bytes(), limit)
    if as_json:
        for match in matches:
            click.echo(json.dumps(asdict(match)))
    elif matches:
        click.echo(f"{'pin':<40} {'cluster':>14} {'bits':>5} {'probability':>11}")
        for match in matches:
            mark = "duplicate" if match.duplicate else ""
            click.echo(
                f"{match.pin_id:<40} {match.cluster_id:>14} {match.hamming:>5} "
                f"{match.probability:>11.4f}  {mark}"
            )
    if not any(match.duplicate for match in matches):
        click.echo("not seen before", err=True)
        sys.exit(1)
