"""``neardup jars``: fetch the jars of Spark's connectors and of Kafka, once."""

from pathlib import Path

import click


@click.command("jars")
@click.option(
    "--relock",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    metavar="FILE",
    help="Resolve the lock's coordinates afresh and write the new lock here instead.",
)
def command(relock: Path | None) -> None:
    """Fetch the jars of Spark's connectors and of Kafka into the user's cache, once."""
    from neardup.infra import jars, shared_classes

    if relock:
        relock.write_text(jars.relock(click.echo), "utf-8")
        return
    for name in jars.SETS:
        jar_set = jars.locked(name)
        jars.ensure(jar_set, click.echo)
        click.echo(f"{name}: {len(jar_set.jars)} jars in {jar_set.folder}")
    shared_classes.ensure(click.echo)
