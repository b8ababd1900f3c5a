"""`neardup stream`"""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neardup.cli.common import Numbered, config_option, log_to_stderr

if TYPE_CHECKING:
    from neardup.schemas.settings import Settings
    from neardup.streaming.microbatch import BatchReport

log = logging.getLogger(__name__)


@click.command()
@config_option
@click.option("--once", is_flag=True, help="Take what is in the topic now, then stop.")
@click.option(
    "--accept-loss",
    is_flag=True,
    help="Go on behind events that Kafka removed before they were read; `losses` names them.",
)
@click.option("--log-json", is_flag=True, help="One JSON object a line, as stream.log_json.")
def command(config: Path | None, once: bool, accept_loss: bool, log_json: bool) -> None:
    """Consume pin events, and keep the tables. SIGTERM and Ctrl-C finish the running batch."""
    from neardup.schemas.settings import load_settings
    from neardup.streaming.consumer import Consumer

    settings = load_settings(config)
    as_json = log_json or settings.stream.log_json
    log_to_stderr(as_json=as_json)
    if as_json:
        log.info("settings: %s", settings.describe())
    else:
        click.echo(settings.describe(), err=True)
    with watched(settings) as on_batch:
        consumer = Consumer(settings, on_batch)
        consumer.stop_on(signal.SIGTERM, signal.SIGINT)
        consumer.run(once=once, accept_loss=accept_loss)


@contextmanager
def watched(settings: "Settings") -> "Iterator[Callable[[BatchReport], None]]":
    """While the block runs: log lines have the batch's number, and metrics are served if wanted.

    Gives what is to be called after each batch.
    """
    from neardup.cli.watching import Watched, next_batch

    number = Numbered(next_batch(settings.lake.path))
    for handler in logging.getLogger().handlers:
        handler.addFilter(number)  # stays: what is said of the end has a number too

    def count(report: "BatchReport") -> None:
        number.batch_seq = report.batch_seq + 1

    if not settings.stream.metrics_port:
        yield count
        return
    with Watched(settings).serving() as on_batch:

        def count_and_measure(report: "BatchReport") -> None:
            count(report)
            on_batch(report)

        yield count_and_measure
