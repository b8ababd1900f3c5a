"""`neardup plan`"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from neardup.cli.common import config_option

if TYPE_CHECKING:
    from neardup.index.costs import Costs
    from neardup.models.classifier import Classifier


@click.command()
@config_option
@click.option("--pins", type=click.IntRange(min=1), help="Plan for so many pins; as now if not.")
@click.option(
    "--recall",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.99,
    show_default=True,
    help="Share of the links that must be found, over their own distances.",
)
@click.option(
    "--max-bytes-per-pin",
    type=click.FloatRange(min=0, min_open=True),
    default=1024.0,
    show_default=True,
    help="Memory that a pin may take in the index.",
)
@click.option(
    "--costs",
    "recorded",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A machine's costs from a file that --json wrote; this machine's are measured if not.",
)
@click.option("--apply", is_flag=True, help="Have the lake use the chosen plan from now on.")
@click.option(
    "--json",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write everything that was measured and weighed there.",
)
def command(
    config: Path | None,
    pins: int | None,
    recall: float,
    max_bytes_per_pin: float,
    recorded: Path | None,
    apply: bool,
    out: Path | None,
) -> None:
    """Which bands, bits and probes find enough of the links in the least time?

    Changes nothing without --apply. With it the next start of the stream builds all segments again,
    about as fast as they can be written.
    """
    import json

    from neardup.index.calibrate import calibrate
    from neardup.index.explain import report
    from neardup.index.lake_plan import adopt, plan_for
    from neardup.models.registry import classifier_of
    from neardup.schemas.lake import Lake
    from neardup.schemas.settings import load_settings

    settings = load_settings(config)
    lake = Lake(settings.lake.path)
    classifier = classifier_of(lake, settings)
    planned = plan_for(
        lake,
        radius=classifier.radius,
        costs=_read(recorded) if recorded else calibrate(_seconds_a_pair(classifier)),
        recall=recall,
        bytes_per_pin=max_bytes_per_pin,
        max_scored=settings.stream.max_links,
        pins=pins,
    )
    click.echo(report(planned))
    if apply:
        adopt(lake, planned)
        click.echo("\nThe lake uses the chosen plan from the next start of `neardup stream` on.")
    if out is not None:
        out.write_text(json.dumps(planned.figures(), indent=2) + "\n", "utf-8")


def _read(path: Path) -> "Costs":
    import json

    from neardup.index.costs import Costs
    from neardup.schemas.errors import SettingsError

    try:
        return Costs.from_json(json.dumps(json.loads(path.read_text("utf-8"))["costs"]))
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} holds no costs ({error!r}): give --costs a file that --json wrote."
        ) from None


def _seconds_a_pair(classifier: "Classifier") -> float:
    """What a pair takes in numpy: half to twice as much as in TensorFlow, which is slow to load."""
    import timeit

    import numpy as np

    from neardup.models.classifier import log_odds_numpy

    left, right = np.random.default_rng(1).integers(0, 256, (2, 2048, 128), np.uint8)
    times = timeit.repeat(lambda: log_odds_numpy(classifier, left, right), number=1, repeat=3)
    return min(times) / len(left)
