"""`neardup mine`"""

import os
from pathlib import Path

import click


@click.command()
@click.option(
    "--images",
    required=True,
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of photos; pairs are looked for inside each.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV of folder, left, right, label (same, other, unsure), hamming, features.",
)
@click.option("--hasher", type=click.Path(path_type=Path), help="The bundled one if not given.")
@click.option("--teacher", type=click.Path(path_type=Path), help="The bundled one if not given.")
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Local weights of the hasher's embedder, if it is a keras: one.",
)
def command(
    images: tuple[Path, ...],
    out: Path,
    hasher: Path | None,
    teacher: Path | None,
    weights: Path | None,
) -> None:
    """Have the teacher label the nearest pairs of photos: natural duplicates and look-alikes."""
    from neardup.batch.mine import mine_folder, write_mined
    from neardup.models.hasher import Hasher
    from neardup.models.teacher import Teacher

    signing, judging = Hasher.load(hasher), Teacher.load(teacher)
    processes = os.cpu_count() or 1
    mined = {
        folder.name: mine_folder(folder, signing, judging, weights, processes) for folder in images
    }
    write_mined(out, mined)
    for folder, (pairs, names) in mined.items():
        counts = {word: int((pairs.verdict == word).sum()) for word in ("same", "other", "unsure")}
        words = ", ".join(f"{count:,} {word}" for word, count in counts.items())
        click.echo(f"{folder}: {len(names):,} pictures, {len(pairs.left):,} pairs: {words}")
    click.echo(f"wrote {out}")
