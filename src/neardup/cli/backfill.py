"""`neardup backfill`"""

import logging
import signal
from pathlib import Path

import click

from neardup.cli.common import config_option, log_to_stderr


@click.command()
@config_option
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--id-column", default="pin_id", show_default=True, help="Strings or integers.")
@click.option(
    "--embedding-column",
    default="embedding",
    show_default=True,
    help="Lists of floats, or little-endian float32 in binary.",
)
@click.option(
    "--batch-rows",
    type=click.IntRange(min=1),
    help="Rows decided and committed at once, if not 10,000 with embeddings or 1,000 pictures.",
)
@click.option("--dry-run", is_flag=True, help="Say what there is to do, and do nothing.")
@click.option(
    "--restart",
    is_flag=True,
    help="Take PATH as it is now, though it changed since its backfill was cut off.",
)
def command(
    config: Path | None,
    path: Path,
    id_column: str,
    embedding_column: str,
    batch_rows: int | None,
    dry_run: bool,
    restart: bool,
) -> None:
    """Bring a whole corpus into the lake, as if it had been streamed.

    PATH: a Parquet file or a folder of them, or a Delta table, of pin ids with embeddings; or a
    folder of pictures. The same command goes on where a run was cut off. No stream may run on the
    lake meanwhile; the next one goes on from it.
    """
    from neardup.schemas.settings import load_settings
    from neardup.streaming.backfill import Backfill
    from neardup.streaming.columns import Columns

    settings = load_settings(config)
    log_to_stderr(logging.WARNING)  # the bar says the rest
    backfill = Backfill(settings, path, Columns(id_column, embedding_column), batch_rows)
    if dry_run:
        source, done = backfill.look(restart)
        click.echo(f"{path} ({source.kind}): {sum(source.sizes):,} rows, {done:,} of them decided")
        return
    backfill.stop_on(signal.SIGTERM, signal.SIGINT)
    totals = backfill.run(restart)
    click.echo(
        f"{totals.rows:,} rows of {path}, {totals.before:,} of them decided before: "
        f"{totals.added:,} pins added, {totals.links:,} links, {totals.quarantined:,} quarantined"
    )
