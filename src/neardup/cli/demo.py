"""`neardup demo`"""

from pathlib import Path

import click


@click.command()
@click.option(
    "--photos",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("demo/photos"),
    show_default=True,
    help="Pictures to start from; each is sent with edited copies of itself.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Where report.html, summary.json and run/ are written.",
)
@click.option("--rate", type=float, help="Events a second; 25 with images, 50 with embeddings.")
@click.option(
    "--carry",
    type=click.Choice(["image", "embedding"]),
    default="image",
    show_default=True,
    help="What the events hold.",
)
@click.option("--copies", default=4, show_default=True, help="Edited copies of each picture.")
@click.option("--seed", default=2026, show_default=True, help="Of the edits and the order.")
def command(
    photos: Path, out: Path, rate: float | None, carry: str, copies: int, seed: int
) -> None:
    """Real pictures through the whole system: Kafka, Spark, TensorFlow, Delta, compaction."""
    from neardup.benchmarks.demo import DemoPlan, run_demo

    steady = rate or {"image": 25.0, "embedding": 50.0}[carry]
    run_demo(DemoPlan(photos, out, steady, carry, copies, seed))
