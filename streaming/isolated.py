"""One event at a time in a process of its own: what it does to that process happens to it alone.

`python -m neardup.streaming.isolated` is that process. It reads a plan, proves that it can hash at
all, and then answers one record after the other. The kernel's timer ends it when a record takes too
long, also where no Python runs. Its owner sees how it ended and blames the record it had given it.
"""

import contextlib
import os
import pickle
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec
from PIL import Image

from neardup.schemas.errors import EnvironmentProblem
from neardup.streaming.hashing import (
    HashingPlan,
    embedder_of,
    hash_records,
    hasher_of,
    refused,
    time_limit,
)

TRIES = 2
"""A process may die for a reason that lies outside, such as lack of memory: not twice."""

READY = {"ready": True}
_LENGTH = struct.Struct(">I")


class Worker:
    """The process, seen by its owner. Started when it is needed, and again after it died."""

    def __init__(self, plan: HashingPlan) -> None:
        self._plan = plan
        self._process: subprocess.Popen[bytes] | None = None

    def row(self, record: dict[str, Any]) -> dict[str, Any]:
        """The row of HASHED for a Kafka record; for one that ends the process twice, a bad one.

        Raises EnvironmentProblem if a fresh process cannot hash a harmless picture: then the
        machine is to blame, not the record.
        """
        for _ in range(TRIES):
            answer = self._asked(record)
            if isinstance(answer, dict):
                return answer
        return refused(record, *answer)

    def _asked(self, record: dict[str, Any]) -> dict[str, Any] | tuple[str, str]:
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        try:
            _write(process.stdin, pickle.dumps(record))
        except BrokenPipeError:
            answer = None
        else:
            answer = _read(process.stdout)
        if answer is not None:
            row: dict[str, Any] = msgspec.msgpack.decode(answer)
            return row
        return _verdict(self._end(), self._plan.events.max_seconds)

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert process.stdin is not None and process.stdout is not None
            with contextlib.suppress(BrokenPipeError):  # it died: the answer says so
                _write(process.stdin, pickle.dumps(self._plan))
            if _read(process.stdout) is None:
                raise EnvironmentProblem(
                    f"A process for single events cannot hash a picture (exit {self._end()}): look "
                    "at its words in the log, and at the machine's memory."
                )
        return self._process

    def _end(self) -> int:
        """Close it, and its exit code; negative for the signal that ended it."""
        process, self._process = self._process, None
        assert process is not None and process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        return process.wait()

    def close(self) -> None:
        if self._process is not None:
            self._end()


def rows_alone(plan: HashingPlan, records: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """As ``hash_records``, each record in a process of its own until one ends it."""
    worker = Worker(plan)
    try:
        for record in records:
            yield worker.row(record)
    finally:
        worker.close()


def _verdict(code: int, seconds: float) -> tuple[str, str]:
    if code == -signal.SIGALRM:
        return "timeout", f"more than {seconds:g} s, and again"
    if code < 0:
        return "crashed", f"ended by {signal.Signals(-code).name}, and again"
    return "crashed", f"exit {code}, and again; the log has its words"


def _write(pipe: BinaryIO | Any, message: bytes) -> None:
    pipe.write(_LENGTH.pack(len(message)))
    pipe.write(message)
    pipe.flush()


def _read(pipe: BinaryIO | Any) -> bytes | None:
    """A message; None if the other side ended before its last byte."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    message: bytes = pipe.read(length)
    return message if len(message) == length else None


def main() -> None:
    """The process itself: a plan, then records, pickled by its owner; answers as MessagePack.

    What worked on hostile bytes is not trusted: its owner must not unpickle what it says.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whoever prints must not spoil an answer
    asked = sys.stdin.buffer
    plan: HashingPlan = pickle.loads(_read(asked) or b"")  # noqa: S301  (of our owner)
    _prove(plan)
    _write(answers, msgspec.msgpack.encode(READY))
    while (message := _read(asked)) is not None:
        record = pickle.loads(message)  # noqa: S301
        with time_limit(plan.events.max_seconds):
            (row,) = hash_records(plan, [record])
        _write(answers, msgspec.msgpack.encode(row))


def _prove(plan: HashingPlan) -> None:
    """Load the models and hash a grey picture: what fails here is not an event's fault."""
    vectors = embedder_of(plan.models).embed([Image.new("RGB", (64, 64), "grey")])
    hasher_of(plan.models.hasher).sign(vectors)


if __name__ == "__main__":
    main()
