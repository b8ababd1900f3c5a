"""`neardup stream`"""

import signal
from pathlib import Path

import click

from neardup.cli.common import config_option, log_to_stderr


@click.command()
@config_option
@click.option("--once", is_flag=True, help="Take what is in the topic now, then stop.")
def command(config: Path | None, once: bool) -> None:
    """Consume pin events, and keep the tables. SIGTERM and Ctrl-C finish the running batch."""
    from neardup.schemas.settings import load_settings
    from neardup.streaming.consumer import Consumer

    settings = load_settings(config)
    log_to_stderr()
    click.echo(settings.describe(), err=True)
    consumer = Consumer(settings)
    consumer.stop_on(signal.SIGTERM, signal.SIGINT)
    consumer.run(once=once)
