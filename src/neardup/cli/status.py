"""`neardup status`"""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neardup.cli.common import config_option, printable

if TYPE_CHECKING:
    from neardup.answers.floods import Flood
    from neardup.answers.overview import Figures
    from neardup.schemas.settings import Settings


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(config: Path | None, as_json: bool) -> None:
    """How the lake stands, how far the stream is behind its topic, and who holds which lease."""
    import json

    from neardup.cli.watching import Watched
    from neardup.schemas.settings import load_settings

    settings = load_settings(config)
    watched = Watched(settings)
    figures = watched.figures()
    status: dict[str, Any] = asdict(figures)
    status["positions"] = [
        {"topic_id": topic, "partition": partition, "offset": offset}
        for (topic, partition), offset in sorted(figures.positions.items())
    ]
    status["lag"], status["kafka"] = _lag(watched, figures)
    status["leases"] = _leases(settings)
    if as_json:
        click.echo(json.dumps(status, default=str))
        return
    for name, value in _lines(status, figures):
        click.echo(f"{name:<12} {value}")


def _lag(watched: Any, figures: "Figures") -> tuple[dict[int, int] | None, str]:
    """Events that wait by partition, if Kafka says so, and what it said otherwise."""
    from neardup.answers.overview import lag
    from neardup.schemas.errors import EnvironmentProblem

    try:
        return lag(watched.ranges(), figures.decided(watched.topic_id())), "answers"
    except EnvironmentProblem as problem:
        return None, str(problem)


def _leases(settings: "Settings") -> dict[str, dict[str, Any]]:
    from neardup.infra.holders import command_of, holder

    held = {}
    for path in sorted(settings.lake.path.glob(".*.lock")):
        process = holder(path)
        if process is not None:
            name = path.name.removeprefix(".").removesuffix(".lock")
            held[name] = {"process": process, "command": command_of(process)}
    return held


def _lines(status: dict[str, Any], figures: "Figures") -> list[tuple[str, str]]:
    sizes, quantiles = figures.sizes, figures.sizes.quantiles
    waiting = status["lag"]
    rejected = ", ".join(f"{count:,} {reason}" for reason, count in figures.quarantine.items())
    leases = [f"{name}: process {who['process']}" for name, who in status["leases"].items()]
    biggest = f", the largest has {quantiles[1.0]:,} pins" if quantiles else ""
    parts = {partition: count for partition, count in (waiting or {}).items() if count}
    behind = ", ".join(f"{count:,} in partition {partition}" for partition, count in parts.items())
    generation = "none is published: start `neardup stream`"
    if figures.generation is not None:
        generation = f"{figures.generation}, published {_ago(figures.published_at)}"
    if figures.prepared is not None:
        generation += f"; {figures.prepared} is prepared"
    return [
        ("events", f"{figures.events:,} decided, {sum(figures.quarantine.values()):,} quarantined"),
        ("pins", f"{sizes.pins:,} live"),
        ("clusters", f"{sizes.clusters:,}{biggest}"),
        ("lag", status["kafka"] if waiting is None else behind or "none"),
        ("last batch", f"{figures.batch_seq}, {_ago(figures.last_batch_at)}"),
        ("generation", generation),
        ("segments", f"{figures.segments:,}, and {figures.memtable:,} pins after them"),
        ("cache", f"{figures.cached:,} of them decoded here, {figures.cache_bytes / 1e6:,.0f} MB"),
        ("quarantine", rejected or "empty"),
        *(("flood", _flood(flood)) for flood in figures.floods),
        ("leases", ", ".join(leases) or "none held"),
    ]


def _flood(flood: "Flood") -> str:
    like = "copies of" if flood.what == "picture" else "that share a term with"
    return (
        f"{flood.share:.0%} of the newest pins: {flood.pins:,} {like} {printable(flood.pin_id)} "
        f"({flood.before:,} before), most from source {printable(flood.source or 'none')}"
    )


def _ago(moment: datetime | None) -> str:
    if moment is None:
        return "a time ago that the log does not tell any more"
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for unit, length in (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} seconds ago"
