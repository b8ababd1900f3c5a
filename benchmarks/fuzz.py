"""Hostile events: random bytes, and valid events mutated, through all that reads an event.

Every event is hashed as a stream's worker would, in processes that may die of it. Afterwards each
must be one row: a pin or a delete, or a rejected event with its bytes and a known reason.

The mutations go below the JSON as well: into the base64 of a picture, the values of an embedding.
A fuzzer that is led by coverage has nothing to follow here: what parses (msgspec, Pillow's
decoders) is compiled and not instrumented.
"""

import base64
import io
import json
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from neardup.benchmarks.figures import Figure, figure
from neardup.models.hasher import Hasher
from neardup.schemas.events import REASONS
from neardup.schemas.settings import EventSettings, ModelSettings
from neardup.streaming.hashing import HashingPlan, hash_records

EVENTS = 1_000_000
CHUNK = 2_000
PINS = 500
"""Ids are few, so that events meet older versions of their pins."""

PLAN = HashingPlan(EventSettings(max_pixels=1_000_000), ModelSettings(), thumbnail_px=0)

Record = dict[str, Any]

TOKENS = (
    b"null", b"true", b"-1", b"0", b"1e999", b"-0.0", b"99999999999999999999", b'""', b'"\\ud800"',
    b"{}", b"[]", b'{"a":' * 400, b"[" * 5000, b"NaN", b'"\xff"', b"\x00", b"\xef\xbb\xbf", b'"',
)  # fmt: skip


class Fuzzer:
    """Records by the dozen; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311

    def record(self, offset: int) -> Record:
        """A record as Kafka brings it; some are valid."""
        key = f"p{self._random.randrange(PINS)}"
        make = self._random.choices(_MAKERS, _WEIGHTS)[0]
        return {
            "key": self._key(key),
            "value": make(self, key),
            "partition": 0,
            "offset": offset,
            "timestamp": datetime(2026, 1, 2, tzinfo=UTC),
        }

    def _key(self, key: str) -> bytes | None:
        draw = self._random.random()
        if draw < 0.97:
            return key.encode()
        return self._random.choice([None, b"", b"\xff\xfe", key.encode() * 99, self._bytes(40)])

    def _bytes(self, most: int) -> bytes:
        return self._random.randbytes(self._random.randrange(most))

    def _noise(self, key: str) -> bytes:
        return self._bytes(300)

    def _delete(self, key: str) -> None:
        return None

    def _json(self, key: str) -> bytes:
        """A valid event with some bytes of its text changed."""
        text = self._valid(key)
        return self._mutated(text, tokens=True)

    def _embedding(self, key: str) -> bytes:
        """Values, length, type or name changed; the JSON is sound."""
        data = self._random.choice(_vectors())
        name = self._random.choice(["mobilenet_v1"] * 9 + ["", "other"])
        dtype = self._random.choice(["float32"] * 6 + ["float16"] * 3 + ["int8"])
        if self._random.random() < 0.8:
            data = self._mutated(data)
        return _event(key, embedding={"model": name, "dtype": dtype, "data": _base64(data)})

    def _picture(self, key: str) -> bytes:
        """Bytes of a picture changed; JSON and base64 are sound."""
        return _event(key, image=_base64(self._mutated(self._random.choice(_pictures()))))

    def _valid(self, key: str) -> bytes:
        draw = self._random.random()
        if draw < 0.02:
            return _event(key, image=_base64(self._random.choice(_pictures())))
        if draw < 0.1:
            return _event(key, image_uri=self._random.choice(_URIS))
        embedding = {"model": "mobilenet_v1", "dtype": "float32"}
        data = _base64(self._random.choice(_vectors()))
        return _event(key, width=7, source="s", embedding={**embedding, "data": data})

    def _mutated(self, data: bytes, tokens: bool = False) -> bytes:
        """One to four changes."""
        changed = bytearray(data)
        for _ in range(self._random.randint(1, 4)):
            at = self._random.randrange(len(changed) + 1)
            length = min(self._random.choice([1, 1, 2, 4, 16, 200]), len(changed) - at)
            what = self._random.randrange(7)
            if what == 0:
                del changed[at:]
            elif what == 1:
                del changed[at : at + length]
            elif what == 2:
                changed[at:at] = changed[at : at + length] * 3
            elif what == 3 and tokens:
                changed[at : at + length] = self._random.choice(TOKENS)
            elif what == 4:
                changed[at : at + length] = self._random.choice([b"\0", b"\xff"]) * length
            else:
                changed[at : at + length] = self._random.randbytes(length)
        return bytes(changed)


_URIS = ("file:///etc/passwd", "http://x/", "http://[]/", "http://[::1/", "file:///%00", "a\0b", "")

_MAKERS: tuple[Callable[[Fuzzer, str], bytes | None], ...] = (
    Fuzzer._noise, Fuzzer._json, Fuzzer._embedding, Fuzzer._picture, Fuzzer._valid, Fuzzer._delete,
)  # fmt: skip
_WEIGHTS = (15, 40, 30, 4, 9, 2)


def _event(key: str, **fields: Any) -> bytes:
    return json.dumps({"pin_id": key, "created_at": "2026-01-02T03:04:05Z", **fields}).encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@cache
def _vectors() -> list[bytes]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(Hasher.load().dim).astype("<f4").tobytes() for _ in range(30)]


@cache
def _pictures() -> list[bytes]:
    """A gradient with noise, small, in each format and in the modes that a format has."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 200, 48)[None, :, None] + rng.integers(0, 55, (40, 48, 3))
    picture, found = Image.fromarray(ramp.astype(np.uint8)), []
    for form, mode, options in (
        ("JPEG", "RGB", {}),
        ("JPEG", "CMYK", {"progressive": True}),
        ("JPEG", "L", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "P", {}),
        ("PNG", "I;16", {}),
        ("WEBP", "RGBA", {}),
        ("WEBP", "RGB", {"lossless": True}),
        ("GIF", "P", {}),
    ):
        buffer = io.BytesIO()
        source = picture.convert("I") if mode == "I;16" else picture
        source.convert(mode).save(buffer, form, **options)
        found.append(buffer.getvalue())
    return found


def tried(seed: int, n: int = CHUNK) -> Counter[str]:
    """Hash ``n`` records; how many came out as what: add, delete, a reason, or lost."""
    fuzzer = Fuzzer(seed)
    records = [fuzzer.record(offset) for offset in range(n)]
    rows = hash_records(PLAN, records)
    found = Counter(map(outcome, records, rows))
    found["lost"] += abs(len(records) - len(rows))
    return found


def outcome(record: Record, row: dict[str, Any]) -> str:
    """What became of a record; "lost" if the row is not what it must be."""
    if row["offset"] != record["offset"]:
        return "lost"
    if row["kind"] == "add":
        return "add" if len(row["signature"]) == 128 else "lost"
    if row["kind"] == "delete":
        return "delete" if record["value"] is None else "lost"
    kept = row["key"] == record["key"] and row["value"] == record["value"]
    reason: str = row["reason"]
    return reason if kept and reason in REASONS else "lost"


def rows(quick: bool, seed: int) -> list[Figure]:
    """The fuzz figure: events tried, none lost, no process ended by one."""
    chunks = (EVENTS // 50 if quick else EVENTS) // CHUNK
    found: Counter[str] = Counter()
    crashes: list[str] = []
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        results = [(i, pool.submit(tried, seed * EVENTS + i)) for i in range(chunks)]
        for i, result in tqdm(results, desc="fuzz", unit=f" x {CHUNK:,} events"):
            try:
                found += result.result()
            except Exception as error:
                crashes.append(f"{seed * EVENTS + i}: {error}")
                if isinstance(error, BrokenProcessPool):
                    break  # the pool is gone; the seed says where to look
    events, lost = sum(found.values()), found.pop("lost", 0)
    taken = found.pop("add", 0) + found.pop("delete", 0)
    quality = (
        f"{lost} lost, {len(crashes)} chunks failed {crashes[:3] or ''}; {taken:,} taken, "
        f"{sum(found.values()):,} rejected for {len(found)} reasons"
    )
    met = not lost and not crashes and events >= EVENTS
    said = ">= 1 million events, no loss, no crash"
    return [
        figure(
            "fuzz: random bytes and mutated events",
            "events",
            [events],
            quality=quality,
            target=None if quick else said,
            met=None if quick else met,
            seed=seed,
        )
    ]
