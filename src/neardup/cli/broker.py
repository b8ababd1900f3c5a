"""``neardup broker``: a Kafka broker in the foreground, for trying things out."""

import signal
from pathlib import Path

import click


@click.command("broker")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Where topics are kept; start again on it and they are there.",
)
@click.option("--port", default=9092, show_default=True, help="On 127.0.0.1; 0 takes a free one.")
@click.option("--topic", help="Create this topic unless it is there.")
@click.option("--partitions", default=4, show_default=True, help="Of the created topic.")
def command(directory: Path, port: int, topic: str | None, partitions: int) -> None:
    """Run a Kafka broker on loopback until Ctrl-C or SIGTERM."""
    from neardup.infra.kafka import Broker
    from neardup.infra.topics import create_topic
    from neardup.schemas.errors import EnvironmentProblem

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Broker(directory, port) as broker:
            if topic:
                create_topic(broker.bootstrap, topic, partitions)
            click.echo(f"Kafka listens at {broker.bootstrap} (log: {broker.log}); Ctrl-C stops it.")
            broker.wait()
    except KeyboardInterrupt:
        click.echo("Kafka has stopped.")
    else:
        raise EnvironmentProblem(f"Kafka ended by itself: look into {broker.log}.")
