"""Log lines as JSON, with the number of the batch."""

import json
import logging

from neardup.cli.common import JsonLines, Numbered


def test_a_line_is_one_object() -> None:
    handler = logging.Handler()
    lines: list[str] = []
    handler.setFormatter(JsonLines())
    handler.emit = lambda record: lines.append(handler.format(record))  # type: ignore[method-assign]
    number = Numbered(7)
    handler.addFilter(number)
    log = logging.Logger("neardup.example")
    log.addHandler(handler)
    log.info("two\nlines, %d pins", 3)
    number.batch_seq = 8
    try:
        raise ValueError("what happened")
    except ValueError:
        log.exception("it failed")
    first, second = map(json.loads, lines)
    assert (first["message"], first["batch"], first["level"]) == ("two\nlines, 3 pins", 7, "INFO")
    assert first["logger"] == "neardup.example" and first["time"].endswith("+00:00")
    assert second["batch"] == 8 and "ValueError: what happened" in second["exception"]
    assert all("\n" not in line for line in lines)


def test_without_a_number_it_is_null() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "said", None, None)
    assert json.loads(JsonLines().format(record))["batch"] is None
