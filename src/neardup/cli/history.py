"""`neardup history`"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neardup.cli.common import config_option, printable

if TYPE_CHECKING:
    from neardup.answers.history import Step


@click.command()
@click.argument("cluster")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@config_option
def command(cluster: str, as_json: bool, config: Path | None) -> None:
    """What became of CLUSTER: a cluster's id, gone or not, or a pin's.

    Where its pins went, and what became of those clusters since: batch by batch, with the share.
    """
    import json
    from dataclasses import asdict

    from neardup.answers.history import history
    from neardup.schemas.lake import Lake
    from neardup.schemas.settings import load_settings

    found = history(Lake(load_settings(config).lake.path), cluster)
    if as_json:
        trees = [[step._asdict() for step in tree] for tree in found.trees]
        click.echo(json.dumps({"name": cluster, **asdict(found), "trees": trees}))
        return
    for cluster_id, tree in zip(found.clusters, found.trees, strict=True):
        click.echo(f"cluster {cluster_id}")
        for step in tree:
            click.echo(_step(step))
        if not tree:
            click.echo("  no other cluster ever had pins of it, nor it of others")
    click.echo(_now(found.now))


def _step(step: "Step") -> str:
    stayed = step.successor == step.cluster_id
    went = "stayed in" if stayed else "went to"
    told = ", told elsewhere" if step.told else ""
    return (
        f"{'  ' * (step.depth + 1)}{_pins(step.shared)} ({100 * step.share:.0f} %) {went} "
        f"{step.successor} (generation {step.generation}, batch {step.batch_seq}){told}"
    )


def _now(now: list[dict[str, Any]]) -> str:
    if not now:
        return "now: none of these clusters is there any more"
    each = (f"{c['cluster_id']} (head {printable(c['head'])}, {_pins(c['pins'])})" for c in now)
    return f"now: {', '.join(each)}"


def _pins(number: int) -> str:
    return "1 pin" if number == 1 else f"{number:,} pins"
