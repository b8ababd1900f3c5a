"""`neardup evaluate`"""

from pathlib import Path

import click


@click.command()
@click.option(
    "--images",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the pictures.",
)
@click.option(
    "--truth",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV with the columns file,group: files of one group are near-duplicates.",
)
@click.option(
    "--json",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the figures there.",
)
@click.option(
    "--mode",
    type=click.Choice(["stream", "batch"]),
    default="stream",
    show_default=True,
    help="Clusters as the stream leaves them, or after a compaction.",
)
@click.option("--seed", type=int, help="Shuffle the order of arrival with this seed.")
def command(images: Path, truth: Path, out: Path | None, mode: str, seed: int | None) -> None:
    """Send a folder with known groups through the real pipeline and measure the clusters."""
    import json

    from neardup.benchmarks.evaluate import evaluate
    from neardup.cli.common import log_to_stderr

    log_to_stderr()
    figures = evaluate(images, truth, mode, seed)
    text = json.dumps(figures, indent=2)
    click.echo(text)
    if out is not None:
        out.write_text(text + "\n", "utf-8")
