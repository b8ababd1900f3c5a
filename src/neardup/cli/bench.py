"""`neardup bench`"""

from pathlib import Path

import click


@click.command()
@click.argument("name")
@click.option("--quick", is_flag=True, help="Fewer repeats, smaller sizes.")
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--json",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the figures there; rows of other benchmarks in the file stay.",
)
@click.option("--record", is_flag=True, help="Write into the docs' results file and its page.")
@click.option("--compare", is_flag=True, help="Say what got worse since the recorded results.")
def command(
    name: str, quick: bool, seed: int, path: Path | None, record: bool, compare: bool
) -> None:
    """Run the benchmark NAME and print its figures, each beside its peer."""
    from neardup.benchmarks.figures import (
        PAGE,
        RESULTS,
        page,
        read_figures,
        run,
        table,
        write_figures,
    )
    from neardup.benchmarks.regress import worse

    figures = run(name, quick, seed)
    click.echo(table(figures))
    if compare:
        click.echo("\n".join(worse(read_figures(RESULTS), figures)) or "nothing got worse")
    if path is not None:
        write_figures(path, figures)
    if record:
        write_figures(RESULTS, figures)
        PAGE.write_text(page(read_figures(RESULTS)), "utf-8")
