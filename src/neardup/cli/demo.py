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
@click.option("--rate", default=50.0, show_default=True, help="Events a second.")
@click.option(
    "--carry",
    type=click.Choice(["image", "embedding"]),
    default="image",
    show_default=True,
    help="What the events hold.",
)
@click.option("--copies", default=4, show_default=True, help="Edited copies of each picture.")
@click.option("--seed", default=2026, show_default=True, help="Of the edits and the order.")
def command(photos: Path, out: Path, rate: float, carry: str, copies: int, seed: int) -> None:
    """Real pictures through the whole system: Kafka, Spark, TensorFlow, Delta, compaction."""
    from neardup.benchmarks.demo import DemoPlan, run_demo

    run_demo(DemoPlan(photos, out, rate, carry, copies, seed))
