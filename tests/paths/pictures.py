"""Events of every kind for tests of the whole path: good, odd, and bad."""

import base64
import io
import json
import struct
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from neardup.models.edits import edit

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PHOTOS = Path(__file__).parents[2] / "demo" / "photos"


def photos(n: int) -> dict[str, Image.Image]:
    """The first ``n`` photos of the demo by name, decoded."""
    paths = sorted(PHOTOS.glob("*.jpg"))[:n]
    return {path.stem: Image.open(path).convert("RGB") for path in paths}


def copies(picture: Image.Image, seed: int) -> dict[str, Image.Image]:
    """Three mild edits of a picture."""
    rng = np.random.default_rng(seed)
    names = {"resize": 0.4, "recompress": 0.5, "colour": 0.3}
    return {name: edit(picture, name, strength, rng) for name, strength in names.items()}


def encoded(picture: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    """The bytes of a picture file."""
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def event(pin_id: str, **fields: Any) -> tuple[bytes, bytes]:
    """Key and value, written as a process without this package would."""
    value = {"pin_id": pin_id, "created_at": WHEN.isoformat(), **fields}
    return pin_id.encode(), json.dumps(value).encode()


def with_image(pin_id: str, data: bytes, **fields: Any) -> tuple[bytes, bytes]:
    """An event that carries these bytes as its picture."""
    return event(pin_id, image=base64.b64encode(data).decode(), **fields)


def with_embedding(
    pin_id: str, vector: np.ndarray, model: str, **fields: Any
) -> tuple[bytes, bytes]:
    """An event that carries its own embedding."""
    data = base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return event(pin_id, embedding={"model": model, "dtype": "float32", "data": data}, **fields)


def bomb() -> bytes:
    """A PNG that claims 20,000 x 20,000 pixels, in 100 bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 64))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def odd(picture: Image.Image) -> dict[str, bytes]:
    """The same picture in every unusual form that must work."""
    small = picture.resize((160, 120))
    turned = Image.Exif()
    turned[0x0112] = 6  # rotate 90 degrees clockwise to see it upright
    grey16 = Image.fromarray((np.asarray(small.convert("L")).astype(np.uint16)) * 257)
    return {
        "animated.gif": encoded(small, "GIF", save_all=True, append_images=[small.rotate(180)]),
        "cmyk.jpg": encoded(small.convert("CMYK")),
        "sixteen-bit.png": encoded(grey16, "PNG"),
        "palette.png": encoded(small.quantize(64), "PNG"),
        "alpha.png": encoded(small.convert("RGBA"), "PNG"),
        "picture.webp": encoded(small, "WEBP"),
        "turned.jpg": encoded(small.transpose(Image.Transpose.ROTATE_90), exif=turned),
    }


def bad(
    picture: Image.Image, roots: Path, dim: int, model: str
) -> dict[str, tuple[bytes, bytes, str]]:
    """name -> (key, value, reason): every kind of event that belongs in quarantine."""
    jpeg = encoded(picture)
    ok = base64.b64encode(jpeg).decode()
    nan = np.full(dim, np.nan)
    no_id = json.dumps({"created_at": WHEN.isoformat()}).encode()
    outside = roots.parent / "outside.jpg"
    outside.write_bytes(jpeg)
    (roots / "link.jpg").symlink_to(outside)
    events = {
        "not-json": ((b"not-json", b"{nonsense"), "not_json"),
        "wrong-type": (event("wrong-type", image=7), "invalid_field"),
        "no-id": ((b"no-id", no_id), "missing_field"),
        "two": (event("two", image=ok, image_uri="file:///x"), "several_pictures"),
        "none": (event("none"), "no_picture"),
        "empty": (with_image("empty", b""), "empty_image"),
        "cut": (with_image("cut", jpeg[: len(jpeg) // 2]), "truncated_image"),
        "bomb": (with_image("bomb", bomb()), "too_many_pixels"),
        "text.jpg": (with_image("text.jpg", b"this is text"), "not_an_image"),
        "short": (with_embedding("short", np.ones(3), model), "embedding_length"),
        "nan": (with_embedding("nan", nan, model), "embedding_not_finite"),
        "zero": (with_embedding("zero", np.zeros(dim), model), "embedding_zero"),
        "other-model": (with_embedding("other-model", np.ones(dim), "other"), "embedding_model"),
        "dots": (event("dots", image_uri=f"{roots}/../outside.jpg"), "uri_not_allowed"),
        "link": (event("link", image_uri=f"file://{roots}/link.jpg"), "uri_not_allowed"),
        "http": (event("http", image_uri="http://127.0.0.1/a.jpg"), "uri_not_allowed"),
        "absent": (event("absent", image_uri=f"file://{roots}/absent.jpg"), "uri_not_found"),
        "large": (with_image("large", b"\0" * 3_800_000), "too_large"),
        "mismatch": ((b"other", event("mismatch", image=ok)[1]), "key_mismatch"),
    }
    return {name: (key, value, reason) for name, ((key, value), reason) in events.items()}
