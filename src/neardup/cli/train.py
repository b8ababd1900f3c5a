"""`neardup train`"""

import os
from pathlib import Path

import click


@click.command()
@click.option(
    "--images",
    required=True,
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of photos; give several for several kinds of picture.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where hasher and classifier are written.",
)
@click.option(
    "--without",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File names to leave out, one a line; the demo's photos are in models/data.",
)
@click.option("--embedder", default="mobilenet_v1", show_default=True)
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Local weights of a keras: embedder.",
)
@click.option("--copies", default=6, show_default=True, help="Edited copies of each photo.")
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--preset",
    default="default",
    show_default=True,
    type=click.Choice(["small", "default", "large"]),
    help="Size of the net; docs/classifier.md has what each gains and costs.",
)
@click.option(
    "--verdicts",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A teacher's verdicts on pairs of photos: CSV of folder, left, right, label.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where embeddings and the half-trained net are kept; OUT/cache if not given.",
)
def command(
    images: tuple[Path, ...],
    out: Path,
    without: Path | None,
    embedder: str,
    weights: Path | None,
    copies: int,
    seed: int,
    preset: str,
    verdicts: Path | None,
    cache: Path | None,
) -> None:
    """Learn a hasher and a classifier from photos and edited copies of them.

    What was embedded and learned is kept as it comes: a training that was killed goes on from
    there when it is started again.
    """
    from neardup.batch.train import train
    from neardup.cli.common import log_to_stderr

    log_to_stderr()
    names = without.read_text("utf-8").split() if without else []
    trained = train(
        images,
        out,
        seed,
        embedder=embedder,
        weights=weights,
        copies=copies,
        processes=os.cpu_count() or 1,
        without=names,
        preset=preset,
        verdicts=verdicts,
        cache=cache,
    )
    click.echo(f"wrote {trained.hasher.version} and {trained.classifier.version} to {out}")
