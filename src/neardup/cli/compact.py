"""`neardup compact`"""

import json
from pathlib import Path

import click

from neardup.cli.common import config_option, log_to_stderr


@click.command()
@config_option
def command(config: Path | None) -> None:
    """Re-run the k-cut over the log and publish a new generation, with or without a stream."""
    from neardup.batch.compact import compact
    from neardup.infra.spark import spark_session
    from neardup.schemas.settings import load_settings

    settings = load_settings(config)
    log_to_stderr()
    spark = spark_session(settings.spark, "neardup-compact")
    try:
        figures = compact(spark, settings)
    finally:
        spark.stop()
    click.echo(json.dumps(figures))
