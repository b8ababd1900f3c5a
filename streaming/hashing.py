"""First step of a micro-batch, on the executors: Kafka records in, signatures out.

A record that cannot be used comes out as a row with a reason. What raises, or ends the process that
reads it, is found out by ``streaming.poison``.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neardup.models.embed import Embedder, check_embedding, open_embedder
from neardup.models.hasher import Hasher
from neardup.models.images import decode, thumbnail
from neardup.models.pixels import looks_features
from neardup.models.views import transposes
from neardup.schemas.errors import BadEvent
from neardup.schemas.events import PinEvent, parse_event, read_uri
from neardup.schemas.settings import EventSettings, ModelSettings
from neardup.schemas.tables import MICROSECONDS
from neardup.streaming.garbage import keep_what_is_loaded
from neardup.streaming.quota import Meter

HASHED = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("kafka_time", MICROSECONDS),
        ("kind", pa.string()),  # add, delete or bad
        ("pin_id", pa.string()),
        ("signature", pa.binary()),
        ("looks", pa.binary()),
        ("views", pa.binary()),  # signatures of the picture's views, one after the other
        ("event_time", MICROSECONDS),
        ("source", pa.string()),
        ("attributes", pa.map_(pa.string(), pa.string())),
        ("image_uri", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("file_bytes", pa.int64()),
        ("thumbnail", pa.binary()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("key", pa.binary()),
        ("value", pa.binary()),
    ]
)


DECODED_PIXELS = 8_000_000
"""Pictures are embedded, and their pixels freed, whenever more than so many are decoded: 3 bytes
each, so that a batch of large photos holds one of them and 24 MB, not all of them."""


@dataclass(frozen=True)
class HashingPlan:
    """What an executor needs to know to hash events; ``views``: of QUERY_VIEWS, to sign as well.

    ``meter``: what sources have sent so far; each task counts on in a copy of it.
    """

    events: EventSettings
    models: ModelSettings
    thumbnail_px: int
    views: tuple[str, ...] = ()
    meter: Meter | None = None


def hash_batches(plan: HashingPlan, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """For ``mapInArrow``: Kafka's key, value, partition, offset, timestamp -> HASHED."""
    for batch in batches:
        rows = hash_records(plan, batch.to_pylist())
        yield pa.RecordBatch.from_pylist(rows, schema=HASHED)
    keep_what_is_loaded()


def hash_records(plan: HashingPlan, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row of HASHED for each Kafka record, in the same order."""
    rows, waiting, pixels = [], [], 0
    for record in records:
        with time_limit(plan.events.max_seconds):
            row = metered(plan.meter, record, _row(plan, record))
        rows.append(row)
        if "picture" in row:
            waiting.append(row)
            pixels += row["width"] * row["height"] * (2 if plan.views else 1)  # and of a view
        if pixels > DECODED_PIXELS:
            _embed(plan, waiting)
            waiting, pixels = [], 0
    _embed(plan, waiting)
    _sign(plan, [row for row in rows if "embeddings" in row])
    return rows


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End this process (SIGALRM) if the block takes longer; a limit around it begins anew after.

    A timer of the kernel: a decoder that hangs holds Python's lock, and nothing of Python runs. It
    costs two microseconds.
    """
    before, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, before)


def _row(plan: HashingPlan, record: dict[str, Any]) -> dict[str, Any]:
    try:
        event = parse_event(record["key"], record["value"], plan.events.max_event_bytes)
        if isinstance(event, str):
            return {
                **_position(record),
                "kind": "delete",
                "pin_id": event,
                "event_time": record["timestamp"],
            }
        return {**_position(record), **_pin(plan, event)}
    except BadEvent as bad:
        return refused(record, bad.reason, bad.detail)


def metered(meter: Meter | None, record: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """The row, or a bad one if its source has filled its share of the log."""
    complaint = meter.complaint(row) if meter and row["kind"] == "add" else None
    return refused(record, "quota", complaint) if complaint else row


def refused(record: dict[str, Any], reason: str, detail: str) -> dict[str, Any]:
    """The row of a Kafka record that cannot be used; its bytes are kept."""
    return {
        **_position(record),
        "kind": "bad",
        "reason": reason,
        "detail": detail,
        "key": record["key"],
        "value": record["value"],
    }


def _position(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "partition": record["partition"],
        "offset": record["offset"],
        "kafka_time": record["timestamp"],
    }


def _pin(plan: HashingPlan, event: PinEvent) -> dict[str, Any]:
    row: dict[str, Any] = {
        "kind": "add",
        "pin_id": event.pin_id,
        "event_time": event.created_at,
        "source": event.source,
        "attributes": event.attributes,
        "image_uri": event.image_uri,
        "width": event.width,
        "height": event.height,
    }
    if event.embedding is not None:
        row["embeddings"] = _own_embedding(plan, event)[None]
        return row
    data = _picture_bytes(plan, event)
    picture = decode(data, max_pixels=plan.events.max_pixels)
    row["file_bytes"] = len(data)
    row["width"], row["height"] = picture.size
    row["thumbnail"] = thumbnail(picture, plan.thumbnail_px) if plan.thumbnail_px else None
    row["picture"] = picture
    return row


def _picture_bytes(plan: HashingPlan, event: PinEvent) -> bytes:
    if event.image is not None:
        return event.image
    assert event.image_uri is not None
    return read_uri(event.image_uri, plan.events.allowed_roots, plan.events.max_image_bytes)


def _own_embedding(plan: HashingPlan, event: PinEvent) -> npt.NDArray[np.float32]:
    hasher = hasher_of(plan.models.hasher)
    assert event.embedding is not None
    if event.embedding.model != hasher.embedder:
        raise BadEvent(
            "embedding_model",
            f"{event.embedding.model!r}; the hasher {hasher.version} takes {hasher.embedder!r}",
        )
    vector = event.embedding.vector()
    check_embedding(vector, hasher.dim)
    return vector


def _embed(plan: HashingPlan, rows: list[dict[str, Any]]) -> None:
    """Replace the pictures by their ``embeddings`` float32 [1 + views, dim], upright first, and
    what their ``looks`` are made from."""
    if not rows:
        return
    embedder = embedder_of(plan.models)
    pictures = [row.pop("picture") for row in rows]
    seen = [embedder.embed(pictures)]
    for transpose in transposes(plan.views):  # one after the other: one more copy of the pixels
        seen.append(embedder.embed([picture.transpose(transpose) for picture in pictures]))
    for row, picture, vectors in zip(rows, pictures, np.stack(seen, axis=1), strict=True):
        row["embeddings"], row["looks"] = vectors, looks_features(picture)


def _sign(plan: HashingPlan, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    vectors, hasher = [row.pop("embeddings") for row in rows], hasher_of(plan.models.hasher)
    signatures = hasher.sign(np.concatenate(vectors))
    ends = np.cumsum([len(own) for own in vectors])
    for row, own in zip(rows, np.split(signatures, ends[:-1]), strict=True):
        row["signature"], row["views"] = own[0].tobytes(), own[1:].tobytes() or None
    seen = [row for row in rows if "looks" in row]
    if seen:
        looks = hasher.sign_looks(np.stack([row["looks"] for row in seen]))
        for row, own in zip(seen, looks, strict=True):
            row["looks"] = own.tobytes()


@cache
def embedder_of(models: ModelSettings) -> Embedder:
    return open_embedder(models.embedder, weights=models.embedder_weights)


@cache
def hasher_of(path: Path | None) -> Hasher:
    return Hasher.load(path)
