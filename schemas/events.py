"""The event contract, version 1: what a producer writes to Kafka and how it is checked.

Key: the pin's id in UTF-8. Value: a JSON object (``PinEvent``), or null to delete the pin.
``docs/events.md`` has examples; ``schemas/pin-event.v1.json`` is the JSON Schema made from the
types below, for producers that do not use this package.
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from neardup.schemas.errors import BadEvent

VERSION = 1
MAX_PIN_ID_BYTES = 128

REASONS = {
    "missing_key": "the Kafka key, which carries the pin's id, is absent",
    "key_mismatch": "the Kafka key is not the event's pin_id in UTF-8",
    "too_large": "the event, or the file it names, is larger than the settings allow",
    "not_json": "the value is not JSON in UTF-8",
    "missing_field": "a required field is absent",
    "invalid_field": "a field has the wrong type or a value out of range",
    "no_picture": "none of image, image_uri, embedding is given",
    "several_pictures": "more than one of image, image_uri, embedding is given",
    "uri_not_allowed": "image_uri is not a file below an allowed root",
    "uri_not_found": "image_uri names no readable file",
    "empty_image": "the image has no bytes",
    "not_an_image": "the bytes are of no known image format",
    "unsupported_format": "the image is of a format other than JPEG, PNG, WebP, GIF",
    "truncated_image": "the image ends before its last pixel",
    "too_many_pixels": "the image has more pixels than the settings allow",
    "undecodable_image": "the decoder refused the image",
    "crashed": "a process that worked on this event alone died or failed, twice",
    "timeout": "a process that worked on this event alone took longer than allowed, twice",
    "quota": "its source has filled its share of this stretch of the log",
    "embedding_model": "the embedding is of another model than the hasher's",
    "embedding_length": "the embedding has the wrong number of values",
    "embedding_not_finite": "the embedding holds NaN or infinity",
    "embedding_zero": "the embedding is all zero: it has no direction",
}
"""The fixed vocabulary of ``quarantine.reason``, with what each word means."""

PinId = Annotated[str, Meta(min_length=1, description="At most 128 bytes in UTF-8.")]
Pixels = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class Embedding(msgspec.Struct, frozen=True):
    """A vector that the producer computed: little-endian values in base64."""

    model: str
    dtype: Literal["float32", "float16"]
    data: bytes

    def vector(self) -> npt.NDArray[np.float32]:
        """The values, float32 [n]. Raises BadEvent if the bytes are no whole number of values."""
        dtype = np.dtype(self.dtype).newbyteorder("<")
        if len(self.data) % dtype.itemsize:
            raise BadEvent(
                "embedding_length", f"{len(self.data)} bytes are no whole number of {self.dtype}"
            )
        return np.frombuffer(self.data, dtype).astype(np.float32)


class PinEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One pin. Exactly one of ``image``, ``image_uri`` and ``embedding`` is given.

    Fields that are not named here are ignored, so producers may be ahead of consumers.
    """

    pin_id: PinId
    created_at: Annotated[datetime, Meta(tz=True, description="RFC 3339, with its UTC offset.")]
    image: Annotated[bytes, Meta(description="JPEG, PNG, WebP or GIF in base64.")] | None = None
    image_uri: str | None = None
    embedding: Embedding | None = None
    width: Pixels | None = None
    height: Pixels | None = None
    source: str | None = None
    attributes: dict[str, str] | None = None


_decoder = msgspec.json.Decoder(PinEvent)
_encoder = msgspec.json.Encoder()


def parse_event(key: bytes | None, value: bytes | None, max_bytes: int) -> PinEvent | str:
    """The event, or for a null value the id of the pin to delete. Raises BadEvent."""
    pin_id = _pin_id_of(key)
    if value is None:
        return pin_id
    if len(value) > max_bytes:
        raise BadEvent("too_large", f"{len(value)} bytes; {max_bytes} are allowed")
    event = _decode(value)
    if event.pin_id != pin_id:
        raise BadEvent("key_mismatch", f"key {pin_id!r}, pin_id {event.pin_id!r}")
    pictures = [event.image, event.image_uri, event.embedding]
    given = sum(picture is not None for picture in pictures)
    if given != 1:
        raise BadEvent(
            "several_pictures" if given else "no_picture",
            f"{given} of image, image_uri, embedding are given",
        )
    return event


def _pin_id_of(key: bytes | None) -> str:
    if not key:
        raise BadEvent("missing_key", "send the pin_id as the Kafka key")
    if len(key) > MAX_PIN_ID_BYTES:
        raise BadEvent("invalid_field", f"pin_id of {len(key)} bytes; {MAX_PIN_ID_BYTES} at most")
    try:
        return key.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadEvent("invalid_field", f"the key is not UTF-8: {error}") from None


def _decode(value: bytes) -> PinEvent:
    try:
        return _decoder.decode(value)
    except msgspec.ValidationError as error:
        missing = "missing required field" in str(error)
        raise BadEvent("missing_field" if missing else "invalid_field", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadEvent("not_json", str(error)) from None


def encode_event(event: PinEvent) -> bytes:
    """The JSON value for Kafka."""
    return _encoder.encode(event)


def encode_embedding(model: str, vector: npt.NDArray[np.float32]) -> Embedding:
    """``vector`` float32 [n] as an event carries it."""
    return Embedding(model, "float32", np.ascontiguousarray(vector, "<f4").tobytes())


def read_uri(uri: str, roots: tuple[Path, ...], max_bytes: int) -> bytes:
    """The bytes of a local file below one of ``roots``. Raises BadEvent.

    Only ``file:`` URIs and absolute paths are read; the path is resolved (``..``, links) before
    it is compared with the roots, so neither leads out of them.
    """
    try:
        parts = urlsplit(uri)
    except ValueError as error:  # such as a host in brackets that is no address
        raise BadEvent("uri_not_allowed", f"{uri!r}: {error}") from None
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        raise BadEvent("uri_not_allowed", f"{uri!r}: only files below an allowed root are read")
    try:
        path = Path(unquote(parts.path) if parts.scheme else uri).resolve()
        if not any(path.is_relative_to(root) for root in roots):
            raise BadEvent("uri_not_allowed", f"{uri!r} is below none of events.allowed_roots")
        if path.stat().st_size > max_bytes:
            raise BadEvent("too_large", f"{uri!r} has more than {max_bytes} bytes")
        return path.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:
        raise BadEvent("uri_not_found", f"{uri!r}: {error}") from None


def json_schema() -> bytes:
    """The JSON Schema of the event's value."""
    schema = msgspec.json.schema(PinEvent)
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"
