"""`neardup explain`"""

from pathlib import Path

import click

from neardup.cli.common import config_option

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("pin_a")
@click.argument("pin_b")
@config_option
@click.option("--picture-a", type=_file, help="Picture to look at instead of PIN_A's own.")
@click.option("--picture-b", type=_file, help="Picture to look at instead of PIN_B's own.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a PNG: both pictures, matched points joined.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(
    pin_a: str,
    pin_b: str,
    config: Path | None,
    picture_a: Path | None,
    picture_b: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Why are PIN_A and PIN_B linked, or why not?

    Shared terms, differing bits, probability, the link, and what the teacher sees in the pictures:
    image_uri below events.allowed_roots, else the thumbnail, else --picture-a and --picture-b.
    """
    import json

    from neardup.answers import explanation
    from neardup.answers.explain import explain
    from neardup.schemas.settings import load_settings

    found = explain(load_settings(config), (pin_a, pin_b), (picture_a, picture_b))
    if as_json:
        click.echo(json.dumps(explanation.as_json(found)))
    else:
        click.echo("\n".join(explanation.in_words(found)))
    if out is None:
        return
    if found.sight is None:
        click.echo(f"{out} was not written: that needs both pictures", err=True)
        return
    explanation.draw(found).save(out, "PNG")
    click.echo(f"wrote {out}", err=True)
