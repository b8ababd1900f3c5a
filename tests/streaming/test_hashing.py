"""Records to signatures: the picture's own, and those of the views that are asked for."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageOps

from neardup.models.embed import MobileNetEmbedder
from neardup.models.hasher import Hasher
from neardup.models.views import views
from neardup.schemas.settings import QUERY_VIEWS, EventSettings, ModelSettings
from neardup.streaming import hashing
from neardup.streaming.hashing import HASHED, HashingPlan, hash_batches, hash_records
from tests.paths.pictures import encoded, photos, with_embedding, with_image

BYTES = 128


def plan(*names: str) -> HashingPlan:
    return HashingPlan(EventSettings(), ModelSettings(), thumbnail_px=0, views=names)


def records(*events: tuple[bytes, bytes | None]) -> list[dict[str, Any]]:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    return [
        {"key": key, "value": value, "partition": 0, "offset": i, "timestamp": now}
        for i, (key, value) in enumerate(events)
    ]


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    return list(photos(3).values())


@pytest.fixture(scope="module")
def posted(pictures: list[Image.Image]) -> list[dict[str, Any]]:
    """Three pictures without loss, and between them an embedding and what is no picture."""
    vector = np.linspace(0, 1, 1024, dtype=np.float32)
    first, *others = (with_image(f"p{i}", encoded(p, "PNG")) for i, p in enumerate(pictures))
    own = with_embedding("e", vector, MobileNetEmbedder.name)
    return records(first, own, with_image("bad", b"no picture"), *others, (b"p0", None))


def test_views_are_signed_one_after_the_other(
    pictures: list[Image.Image], posted: list[dict[str, Any]]
) -> None:
    rows = hash_records(plan(*QUERY_VIEWS), posted)
    embedder, hasher = MobileNetEmbedder(), Hasher.load()
    adds = [row for row in rows if row["kind"] == "add" and row["pin_id"] != "e"]
    for row, picture in zip(adds, pictures, strict=True):
        seen = [picture, *views(picture, QUERY_VIEWS)]
        assert row["signature"] + row["views"] == hasher.sign(embedder.embed(seen)).tobytes()


def test_a_mirrored_picture_has_the_signature_of_its_original_as_its_view(
    pictures: list[Image.Image],
) -> None:
    picture = pictures[0]
    both = (encoded(shown, "PNG") for shown in (picture, ImageOps.mirror(picture)))
    original, mirrored = hash_records(plan("mirror"), records(*(with_image("p", b) for b in both)))
    assert original["signature"] != mirrored["signature"]
    assert (mirrored["views"], mirrored["signature"]) == (original["signature"], original["views"])


def test_only_events_with_pixels_have_views(posted: list[dict[str, Any]]) -> None:
    batch = pa.RecordBatch.from_pylist(posted)
    (hashed,) = hash_batches(plan("mirror"), iter([batch]))
    assert hashed.schema == HASHED
    lengths = [
        (row["pin_id"], row["kind"], row["views"] and len(row["views"]))
        for row in hashed.to_pylist()
    ]
    assert lengths == [
        ("p0", "add", BYTES),
        ("e", "add", None),
        (None, "bad", None),
        ("p1", "add", BYTES),
        ("p2", "add", BYTES),
        ("p0", "delete", None),
    ]


def test_views_change_nothing_else(posted: list[dict[str, Any]]) -> None:
    plain, viewed = (hash_records(plan(*names), posted) for names in ((), QUERY_VIEWS))
    for row in viewed:
        row["views"] = None
    for row in plain:
        row.setdefault("views", None)
    assert plain == viewed


def test_few_pixels_at_a_time_give_the_same_rows(
    posted: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = hash_records(plan("turns"), posted)
    monkeypatch.setattr(hashing, "DECODED_PIXELS", 1)
    assert hash_records(plan("turns"), posted) == at_once
