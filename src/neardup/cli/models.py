"""`neardup models`"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from neardup.cli.common import config_option

if TYPE_CHECKING:
    from neardup.models.registry import Registry
    from neardup.schemas.settings import Settings


@click.group()
def command() -> None:
    """The classifiers of a lake: which there are, which decides, which scores beside it.

    A running stream follows between two batches, a stopped one at its next start. Links keep the
    version that scored them.
    """


@command.command("list")
@config_option
def list_models(config: Path | None) -> None:
    """The classifiers at hand, and which was used from which batch on."""
    _, registry = _open(config)
    wanted = registry.wanted()
    for version in registry.versions():
        decisions = registry.card(version)["decisions"]
        roles = [role for role in ("stream", "shadow") if registry.in_use(role) == version]
        asked = [role for role, name in wanted.items() if name == version and role not in roles]
        words = [*roles, *(f"{role} from the next batch on" for role in asked)]
        click.echo(
            f"{version}  threshold {decisions['threshold']:.2f}, trusted "
            f"{decisions['trusted']:.2f}, within {decisions['radius']} bits, hasher "
            f"{decisions['hasher_version']}{'  <- ' if words else ''}{', '.join(words)}"
        )
    for row in registry.uses():
        click.echo(
            f"batch {row['batch_seq']}, {row['written_at']:%Y-%m-%d %H:%M:%S} UTC: "
            f"{row['role']} {row['version'] or 'none'}"
        )


@command.command()
@config_option
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def add(config: Path | None, file: Path) -> None:
    """Keep a copy of the classifier in FILE (.npz with its card .json beside it)."""
    _, registry = _open(config)
    click.echo(registry.add(file).version)


@command.command()
@config_option
@click.argument("version")
def use(config: Path | None, version: str) -> None:
    """Let the classifier VERSION decide, from the stream's next batch on."""
    settings, registry = _open(config)
    registry.want("stream", version, _hasher_version(settings))
    click.echo(f"{version} decides from the stream's next batch on.")


@command.command()
@config_option
@click.argument("version", required=False)
@click.option("--off", is_flag=True, help="No shadow any more.")
def shadow(config: Path | None, version: str | None, off: bool) -> None:
    """Let the classifier VERSION score beside the one that decides, without effect on links.

    Pairs that one links and the other does not are written to the table `disagreements`.
    """
    if off == (version is not None):
        raise click.UsageError("Give a VERSION or --off.")
    settings, registry = _open(config)
    registry.want("shadow", version, _hasher_version(settings))
    click.echo(f"The shadow is {version or 'none'} from the stream's next batch on.")


def _open(config: Path | None) -> "tuple[Settings, Registry]":
    from neardup.models.registry import Registry
    from neardup.schemas.lake import Lake
    from neardup.schemas.settings import load_settings

    settings = load_settings(config)
    return settings, Registry(Lake(settings.lake.path))


def _hasher_version(settings: "Settings") -> str:
    from neardup.models.hasher import Hasher

    return Hasher.load(settings.models.hasher).version
