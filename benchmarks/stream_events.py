"""Events for `neardup bench stream`, encoded before they are sent, and sent at a steady rate."""

import io
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from neardup.benchmarks.index_data import Crowds, data_folder
from neardup.models.hasher import Hasher
from neardup.schemas.events import PinEvent, encode_embedding, encode_event
from neardup.schemas.settings import KafkaSettings
from neardup.streaming.produce import PinProducer, paced

PREFIX = "pin-"
FOLDERS = ("labelled", "objects", "photos")
COPIES = 10
"""Every so many events one is a near-copy of an earlier one."""


class Event(NamedTuple):
    pin_id: str
    value: bytes


def embedding_events(n: int, seed: int) -> list[Event]:
    """Pins of a crowd that no lake holds, with their embeddings; every tenth a near-copy."""
    hasher, rng = Hasher.load(), np.random.default_rng(seed)
    crowd = Crowds(hasher, seed + 1).embeddings(n)
    spread = 0.1 * float(np.std(crowd[:1000]))
    events = []
    for i in range(n):
        vector = crowd[i]
        if i % COPIES == COPIES - 1:
            noise = rng.normal(0, spread, hasher.dim).astype(np.float32)
            vector = crowd[rng.integers(0, i)] + noise
        events.append(_event(i, embedding=encode_embedding(hasher.embedder, vector)))
    return events


def jpeg_events(n: int, seed: int) -> list[Event]:
    """Real pictures of all kinds, a little cropped and stored as JPEG; every tenth, and each when
    all have come, is another crop of an earlier one."""
    rng = np.random.default_rng(seed)
    files = sorted(path for name in FOLDERS for path in (data_folder() / name).glob("**/*.jpg"))
    order = rng.permutation(len(files))
    at = np.arange(n)
    copies = at[at % COPIES == COPIES - 1]
    at[copies] = rng.integers(0, copies)
    chosen = [files[i] for i in order[at % len(files)]]
    margins = rng.random((n, 4)) / 20
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        pictures = pool.map(_cropped, chosen, margins, chunksize=64)
        return [_event(i, image=picture) for i, picture in enumerate(pictures)]


def _cropped(file: Path, margins: npt.NDArray[np.float64]) -> bytes:
    """A picture without shares of its sides, left, top, right and bottom, as JPEG."""
    with Image.open(file) as picture:
        left, top, right, bottom = (margins * (picture.size * 2)).astype(int).tolist()
        box = (left, top, picture.width - right, picture.height - bottom)
        buffer = io.BytesIO()
        picture.convert("RGB").crop(box).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _event(i: int, **carried: Any) -> Event:
    event = PinEvent(pin_id=f"{PREFIX}{i:08d}", created_at=datetime.now(UTC), **carried)
    return Event(event.pin_id, encode_event(event))


def send_all(kafka: KafkaSettings, events: Sequence[Event]) -> None:
    """As fast as the broker takes them."""
    with PinProducer(kafka, kafka.topic) as producer:
        for pin_id, value in events:
            producer.send_raw(pin_id.encode(), value)


@contextmanager
def sending(
    kafka: KafkaSettings, events: Sequence[Event], rate: float
) -> Iterator[dict[str, float]]:
    """Send them in a thread, ``rate`` a second; when (``time.monotonic``) each one was."""
    sent: dict[str, float] = {}
    stop = threading.Event()

    def send() -> None:
        with PinProducer(kafka, kafka.topic) as producer:
            for pin_id, value in paced(events, rate):
                if stop.is_set():
                    return
                sent[pin_id] = time.monotonic()
                producer.send_raw(pin_id.encode(), value)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join()
