"""What several commands share: the --config option and the log's form."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

config_option: Callable[[Any], Any] = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Settings file (TOML); the defaults and NEARDUP_* variables alone if not given.",
)


def log_to_stderr(level: int = logging.INFO) -> None:
    """One line an event, on standard error; libraries only from WARNING on."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("neardup").setLevel(level)
