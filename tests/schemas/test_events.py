"""The event contract: what is taken, what is refused and with which word."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neardup.schemas.errors import BadEvent
from neardup.schemas.events import (
    REASONS,
    PinEvent,
    encode_embedding,
    encode_event,
    json_schema,
    parse_event,
    read_uri,
)

LIMIT = 100_000
ROOT = Path(__file__).parents[2]


def event(**changes: Any) -> bytes:
    fields = {"pin_id": "p1", "created_at": "2026-01-02T03:04:05Z", "image": "AAEC", **changes}
    return json.dumps({k: v for k, v in fields.items() if v is not ...}).encode()


def reason(key: bytes | None, value: bytes | None) -> str:
    with pytest.raises(BadEvent) as caught:
        parse_event(key, value, LIMIT)
    assert caught.value.reason in REASONS
    return caught.value.reason


def test_a_whole_event() -> None:
    value = event(width=3, height=4, source="s", attributes={"a": "b"}, unknown=1)
    parsed = parse_event(b"p1", value, LIMIT)
    assert isinstance(parsed, PinEvent)
    assert parsed.image == b"\0\1\2"
    assert parsed.created_at.isoformat() == "2026-01-02T03:04:05+00:00"
    assert (parsed.width, parsed.height, parsed.source) == (3, 4, "s")
    assert parsed.attributes == {"a": "b"}
    assert parse_event(b"p1", encode_event(parsed), LIMIT) == parsed


def test_a_null_value_names_the_pin_to_delete() -> None:
    assert parse_event("pin-ü".encode(), None, LIMIT) == "pin-ü"


@pytest.mark.parametrize(
    ("expected", "key", "value"),
    [
        ("missing_key", None, event()),
        ("missing_key", b"", None),
        ("invalid_field", b"\xff", None),
        ("invalid_field", b"x" * 129, None),
        ("key_mismatch", b"other", event()),
        ("too_large", b"p1", event(source="x" * LIMIT)),
        ("not_json", b"p1", b""),
        ("not_json", b"p1", b"{'pin_id': 'p1'}"),
        ("not_json", b"p1", event()[:-1]),
        ("not_json", b"p1", b"\xff\xfe"),
        ("not_json", b"p1", b'{"unknown":' + b"[" * 50_000),
        ("invalid_field", b"p1", b"[]"),
        ("invalid_field", b"p1", b"null"),
        ("missing_field", b"p1", event(pin_id=...)),
        ("missing_field", b"p1", event(created_at=...)),
        ("invalid_field", b"p1", event(pin_id=7)),
        ("invalid_field", b"p1", event(pin_id="")),
        ("invalid_field", b"p1", event(created_at="yesterday")),
        ("invalid_field", b"p1", event(created_at="2026-01-02T03:04:05")),
        ("invalid_field", b"p1", event(image="no base64!")),
        ("invalid_field", b"p1", event(width=0)),
        ("invalid_field", b"p1", event(width=2**31)),
        ("invalid_field", b"p1", event(width=1.5)),
        ("invalid_field", b"p1", event(attributes={"a": 1})),
        ("no_picture", b"p1", event(image=...)),
        ("no_picture", b"p1", event(image=None)),
        ("several_pictures", b"p1", event(image_uri="file:///a.jpg")),
        (
            "invalid_field",
            b"p1",
            event(image=..., embedding={"model": "m", "dtype": "int8", "data": ""}),
        ),
        ("missing_field", b"p1", event(image=..., embedding={"model": "m", "dtype": "float32"})),
    ],
)
def test_bad_events(expected: str, key: bytes | None, value: bytes | None) -> None:
    assert reason(key, value) == expected


@given(key=st.none() | st.binary(max_size=40), value=st.none() | st.binary(max_size=200))
def test_random_bytes_are_an_event_or_a_reason(key: bytes | None, value: bytes | None) -> None:
    try:
        parse_event(key, value, LIMIT)
    except BadEvent as bad:
        assert bad.reason in REASONS and bad.detail


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_embeddings_come_back(dtype: str) -> None:
    values = np.array([0.5, -2.0, 1024.0], dtype)
    data = base64.b64encode(values.astype("<" + values.dtype.str[1:]).tobytes()).decode()
    parsed = parse_event(
        b"p1", event(image=..., embedding={"model": "m", "dtype": dtype, "data": data}), LIMIT
    )
    assert isinstance(parsed, PinEvent) and parsed.embedding is not None
    assert parsed.embedding.vector().tolist() == [0.5, -2.0, 1024.0]
    assert parsed.embedding.vector().dtype == np.float32


def test_an_embedding_of_odd_bytes_has_a_reason() -> None:
    odd = encode_embedding("m", np.ones(2, np.float32))
    with pytest.raises(BadEvent, match="embedding_length"):
        type(odd)(odd.model, odd.dtype, odd.data[:-1]).vector()


def test_uris_stay_below_the_roots(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside.jpg"
    (root / "sub dir").mkdir(parents=True)
    inside = root / "sub dir" / "ü.jpg"
    inside.write_bytes(b"12345")
    outside.write_bytes(b"secret")
    (root / "link.jpg").symlink_to(outside)
    roots = (root.resolve(),)

    assert read_uri(inside.as_uri(), roots, 5) == b"12345"
    assert read_uri(str(inside), roots, 5) == b"12345"
    refused = {
        str(root / ".." / "outside.jpg"): "uri_not_allowed",
        f"file://{root}/%2e%2e/outside.jpg": "uri_not_allowed",
        (root / "link.jpg").as_uri(): "uri_not_allowed",
        outside.as_uri(): "uri_not_allowed",
        "http://127.0.0.1/a.jpg": "uri_not_allowed",
        "http://[]/a.jpg": "uri_not_allowed",
        "file://elsewhere/a.jpg": "uri_not_allowed",
        "s3://bucket/a.jpg": "uri_not_allowed",
        "relative.jpg": "uri_not_allowed",
        "": "uri_not_allowed",
        (root / "absent.jpg").as_uri(): "uri_not_found",
        root.as_uri() + "/a%00b.jpg": "uri_not_found",
        (root / "sub dir").as_uri(): "uri_not_found",
    }
    for uri, expected in refused.items():
        with pytest.raises(BadEvent) as caught:
            read_uri(uri, roots, 5_000)
        assert caught.value.reason == expected, uri
    with pytest.raises(BadEvent, match="too_large"):
        read_uri(inside.as_uri(), roots, 4)
    with pytest.raises(BadEvent, match="uri_not_allowed"):
        read_uri(inside.as_uri(), (), 5)


def test_the_published_schema_is_the_one_of_the_types() -> None:
    assert (ROOT / "schemas" / "pin-event.v1.json").read_bytes() == json_schema(), (
        "regenerate it: python -m neardup.schemas.document"
    )


def test_every_reason_is_documented() -> None:
    text = (ROOT / "docs" / "events.md").read_text("utf-8")
    for word, meaning in REASONS.items():
        assert f"| `{word}` | {meaning} |" in text
