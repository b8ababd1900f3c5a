"""`python -m tests.streaming.guided [-runs=N] [FOLDER]`: fuzzing that coverage guides (atheris).

What reads untrusted bytes is given inputs of which libFuzzer keeps those that reach new lines. It
ends with a traceback and the input in a file at the first that is neither taken nor refused for a
known reason. ``FOLDER`` keeps what it has learned.
"""

import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import atheris
from PIL import Image

from neardup.index.blocks import unseal
from neardup.index.postings import from_body  # compiled by numba, which takes no instruments

with atheris.instrument_imports(include=["neardup"]):
    from neardup.models.images import FORMATS, decode
    from neardup.schemas.errors import BadEvent, SegmentError
    from neardup.schemas.events import REASONS, PinEvent, parse_event, read_uri

MAX_BYTES = 2**16
MAX_PIXELS = 2**16
ROOTS = (Path(tempfile.gettempdir()).resolve(),)

Reader = Callable[[bytes], object]


def event(data: bytes) -> None:
    """A Kafka record: the length of its key, the key, the value."""
    end = 1 + data[0] if data else 0
    found = parse_event(data[1:end] or None, data[end:] or None, MAX_BYTES)
    if isinstance(found, PinEvent) and found.embedding is not None:
        found.embedding.vector()
    elif isinstance(found, PinEvent) and found.image is not None:
        decode(found.image, max_pixels=MAX_PIXELS)
    elif isinstance(found, PinEvent) and found.image_uri is not None:
        read_uri(found.image_uri, ROOTS, MAX_BYTES)


def picture(data: bytes) -> None:
    decode(data, max_pixels=MAX_PIXELS)


def uri(data: bytes) -> None:
    read_uri(data.decode("utf-8", "surrogateescape"), ROOTS, MAX_BYTES)


def block(data: bytes) -> None:
    unseal(data, "segment", "block")


def postings(data: bytes) -> None:
    from_body(memoryview(data), 5, len(data) // 4)


READERS: list[tuple[Reader, type[Exception]]] = [
    (event, BadEvent),
    (picture, BadEvent),
    (uri, BadEvent),
    (block, SegmentError),
    (postings, ValueError),
]


def read(data: bytes) -> None:
    """The first byte says which reader gets the rest."""
    if not data:
        return
    reader, refusal = READERS[data[0] % len(READERS)]
    try:
        reader(data[1:])
    except refusal as bad:
        assert not isinstance(bad, BadEvent) or bad.reason in REASONS, bad


def seeds() -> Iterator[bytes]:
    """Inputs to begin with: one that is taken of each kind."""
    head = b'{"pin_id": "p", "created_at": "2026-01-02T03:04:05Z", '
    for tail in (
        b'"image": "R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs="}',
        b'"image_uri": "file:///tmp/a%20b.jpg", "width": 3, "attributes": {"a": "b"}}',
        b'"embedding": {"model": "m", "dtype": "float16", "data": "ADwAPA=="}, "source": "s"}',
    ):
        yield b"\0\1p" + head + tail
    for name in FORMATS:
        buffer = io.BytesIO()
        Image.new("RGB", (9, 7), (1, 2, 3)).save(buffer, name)
        yield b"\1" + buffer.getvalue()
    for text in (b"/tmp/../etc/passwd", b"file://localhost/tmp/x", b"http://[::1]:80/x"):
        yield b"\2" + text


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds()):
            (Path(folder) / str(number)).write_bytes(seed)
        atheris.Setup([*sys.argv, folder], read)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
