"""What several commands share: the --config option and the log's form."""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

config_option: Callable[[Any], Any] = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Settings file (TOML); the defaults and NEARDUP_* variables alone if not given.",
)


def log_to_stderr(level: int = logging.INFO, as_json: bool = False) -> None:
    """One line an event, on standard error; libraries only from WARNING on."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JsonLines() if as_json else text)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("neardup").setLevel(level)
    logging.getLogger("py4j").setLevel(logging.CRITICAL)  # what a batch raises, ours tell


def printable(text: str) -> str:
    """What someone else wrote, for a terminal: control characters are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class JsonLines(logging.Formatter):
    """An event as one JSON object: time (RFC 3339), level, logger, message, batch, exception.

    ``batch`` is the number of the micro-batch that was running; see ``Numbered``.
    """

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "batch": getattr(record, "batch", None),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class Numbered(logging.Filter):
    """Gives every event of the handlers it is added to the number of the running micro-batch."""

    def __init__(self, batch_seq: int) -> None:
        super().__init__()
        self.batch_seq = batch_seq

    def filter(self, record: logging.LogRecord) -> bool:
        record.batch = self.batch_seq
        return True
