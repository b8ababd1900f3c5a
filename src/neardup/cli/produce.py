"""`neardup produce`"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from neardup.cli.common import config_option

if TYPE_CHECKING:
    from neardup.schemas.events import PinEvent


@click.command()
@config_option
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Send every picture below this folder; its pin id is its path below the folder.",
)
@click.option(
    "--carry",
    type=click.Choice(["image", "uri", "embedding"]),
    default="image",
    show_default=True,
    help="What the events hold: the bytes, a path, or the embedding.",
)
@click.option("--jsonl", type=click.File("rb"), help="Send the events of a file, one JSON a line.")
@click.option(
    "--delete",
    "deleted",
    multiple=True,
    metavar="PIN_ID",
    help="Delete a pin; `neardup purge` then erases it from every file.",
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Events a second.")
def command(
    config: Path | None,
    images: Path | None,
    carry: str,
    jsonl: BinaryIO | None,
    deleted: tuple[str, ...],
    rate: float | None,
) -> None:
    """Send pin events to Kafka and check that each one arrived."""
    from tqdm import tqdm

    from neardup.schemas.settings import load_settings
    from neardup.streaming.produce import PinProducer, folder_events, jsonl_events, paced

    if (images is None) == (jsonl is None) and not deleted:
        raise click.UsageError("give one of --images and --jsonl, or --delete")
    settings = load_settings(config)
    events: Iterator[PinEvent] = iter(())
    if images is not None:
        events = folder_events(images, carry, settings.models)
    if jsonl is not None:
        events = jsonl_events(jsonl)
    sent = 0
    with PinProducer(settings.kafka, settings.kafka.topic) as producer:
        for event in tqdm(paced(events, rate), unit=" events", disable=not sys.stderr.isatty()):
            producer.send(event)
            sent += 1
        for pin_id in deleted:
            producer.delete(pin_id)
            sent += 1
    click.echo(f"sent {sent} events")
