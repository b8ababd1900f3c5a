"""The one shape of every benchmark: figures, each with a peer of the same run beside it.

A benchmark is a function ``(quick, seed) -> list[Figure]``; ``run`` names it, times nothing itself,
and merges its rows into one results file, from which ``docs/benchmarks.md`` is generated.
"""

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from neardup.schemas.errors import NeardupError

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "benchmarks.md"

BENCHMARKS = {
    "smoke": "The stages of a micro-batch, and the pieces below them.",
    "index": "Recall, speed, size and growth of the index, beside the best libraries.",
    "classifier": "How good the classifier is beside its floors, and what scoring costs.",
    "clusters": "Components, the k-cut and the fold, beside libraries and the exact optimum.",
    "stream": "How late, how fast and at what price, beside Spark alone.",
    "faults": "What it costs that any process may be killed at any moment.",
    "soak": "An hour at a steady rate with a burst in it: memory, files, batch times.",
    "stream_large": "The same over ten million pins, beside one million.",
    "stream_images": "The stream of JPEG bytes, beside decoding and the network alone.",
    "commits": "A day of micro-batches: what a commit costs at its end.",
    "views": "Searching for mirrored and turned views of a picture: what it finds and costs.",
}


class Figure(msgspec.Struct, kw_only=True):
    """One measured figure.

    ``value``: the median of the repeats; ``spread``: (least, greatest). ``ratio``: value over the
    peer's, in the direction that the target speaks of. ``quality``: what the speed was bought with.
    """

    bench: str = ""
    figure: str
    value: float
    unit: str
    spread: tuple[float, float] | None = None
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    target: str | None = None
    met: bool | None = None
    quality: str | None = None
    seed: int = 0
    command: str = ""
    machine: str = ""


def figure(name: str, unit: str, values: Sequence[float], **columns: Any) -> Figure:
    """A figure from its repeats."""
    spread = (min(values), max(values))
    return Figure(figure=name, value=statistics.median(values), unit=unit, spread=spread, **columns)


def compared(
    name: str, unit: str, values: Sequence[float], peer: str, peers: Sequence[float], **columns: Any
) -> Figure:
    """A figure and its peer, from repeats of both; the ratio is that of the medians."""
    own = figure(name, unit, values, peer=peer, peer_value=statistics.median(peers), **columns)
    assert own.peer_value
    own.ratio = own.value / own.peer_value
    return own


def run(name: str, quick: bool, seed: int) -> list[Figure]:
    """Run one benchmark. Raises NeardupError if there is none of that name."""
    if name not in BENCHMARKS:
        raise NeardupError(f"There is no benchmark {name!r}; there are: {', '.join(BENCHMARKS)}.")
    measure: Callable[[bool, int], list[Figure]] = import_module(f"neardup.benchmarks.{name}").run
    figures = measure(quick, seed)
    for row in figures:
        row.bench, row.seed, row.machine = name, seed, machine()
        row.command = f"neardup bench {name}{' --quick' if quick else ''} --seed {seed}"
    return figures


def machine() -> str:
    """Cores and platform, for the table's foot."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def read_figures(path: Path) -> list[Figure]:
    """The rows of a results file; none if it is not there yet."""
    return msgspec.json.decode(path.read_bytes(), type=list[Figure]) if path.exists() else []


def write_figures(path: Path, figures: list[Figure]) -> None:
    """Replace the rows of the same benchmarks in a results file."""
    measured = {row.bench for row in figures}
    rows = [row for row in read_figures(path) if row.bench not in measured] + figures
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=1) + b"\n")


def page(figures: list[Figure]) -> str:
    """The text of ``docs/benchmarks.md``."""
    parts = [
        "# Benchmarks\n\nGenerated from `benchmarks/results.json` by "
        "`neardup bench NAME --record`. Medians of repeats, with the least and greatest in "
        "brackets. Machines are noisy: the ratios to a peer in the same run are what holds.\n"
    ]
    for name, title in BENCHMARKS.items():
        rows = [row for row in figures if row.bench == name]
        if rows:
            parts.append(f"## {name}\n\n{title}\n\n{table(rows)}\n")
            parts.append(f"`{rows[0].command}` on {rows[0].machine}.\n")
    return "\n".join(parts)


def table(rows: list[Figure]) -> str:
    """A Markdown table of figures."""
    lines = [
        "| figure | measured | peer | ratio | target | quality beside it |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        spread = "" if row.spread is None else f" ({row.spread[0]:.4g} .. {row.spread[1]:.4g})"
        peer = "" if row.peer_value is None else f"{row.peer}: {row.peer_value:.4g}"
        ratio = "" if row.ratio is None else f"{row.ratio:.3g}"
        met = {None: "", True: " met", False: " **missed**"}[row.met]
        target = "" if row.target is None else row.target + met
        lines.append(
            f"| {row.figure} | {row.value:.4g} {row.unit}{spread} | {peer} | {ratio} | {target} "
            f"| {row.quality or ''} |"
        )
    return "\n".join(lines)
