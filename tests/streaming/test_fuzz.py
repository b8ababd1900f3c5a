"""Whatever bytes come, each event is one row: taken, or rejected for a known reason with its bytes.

`neardup bench faults` tries a million of them.
"""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from neardup.benchmarks.fuzz import Fuzzer, outcome, tried
from neardup.models.images import decode
from neardup.schemas.errors import BadEvent
from neardup.schemas.events import REASONS, Embedding, PinEvent, parse_event
from neardup.streaming.hashing import refused

texts = st.text('a0\0é"\\=', max_size=9)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=6
)
fields = st.sampled_from(msgspec.structs.fields(PinEvent)).map(lambda field: field.name)


@settings(deadline=None)
@given(st.binary(max_size=200) | st.none(), st.binary() | st.none())
def test_any_bytes_are_an_event_or_a_reason(key: bytes | None, value: bytes | None) -> None:
    _parsed(key, value)


@settings(deadline=None)
@given(st.dictionaries(fields, values))
def test_any_values_in_the_known_fields(given: dict[str, object]) -> None:
    event = {"pin_id": "p", "created_at": "2026-01-02T03:04:05Z", **given}
    _parsed(b"p", msgspec.json.encode(event))


def _parsed(key: bytes | None, value: bytes | None) -> None:
    try:
        event = parse_event(key, value, 1_000)
    except BadEvent as bad:
        assert bad.reason in REASONS
    else:
        assert key is not None
        assert (event if isinstance(event, str) else event.pin_id) == key.decode()


@settings(deadline=None)
@given(
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBP"]),
    st.binary(),
)
def test_any_bytes_are_a_picture_or_a_reason(head: bytes, body: bytes) -> None:
    try:
        assert isinstance(decode(head + body, max_pixels=10_000), Image.Image)
    except BadEvent as bad:
        assert bad.reason in REASONS


@settings(deadline=None)
@given(st.sampled_from(["float32", "float16"]), st.binary())
def test_any_bytes_are_a_vector_or_a_reason(dtype: str, data: bytes) -> None:
    try:
        vector = Embedding("m", dtype, data).vector()  # type: ignore[arg-type]
    except BadEvent as bad:
        assert bad.reason == "embedding_length"
    else:
        assert len(vector) == len(data) * 8 // int(dtype[-2:])


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32))
def test_mutated_events_are_each_one_row(seed: int) -> None:
    assert tried(seed, 50)["lost"] == 0


def test_a_row_that_is_not_the_record_s_counts_as_lost() -> None:
    record = Fuzzer(1).record(3)
    bad = refused(record, "not_json", "")
    assert outcome(record, bad) == "not_json"
    assert outcome(record, {**bad, "value": b"other"}) == "lost"
    assert outcome(record, {**bad, "offset": 4}) == "lost"
    assert outcome(record, {**bad, "reason": "unheard of"}) == "lost"


def test_inputs_that_coverage_guides_find_nothing_more(tmp_path: Path) -> None:
    """A few of the readers' lines are reached by few inputs: `tests/streaming/guided.py`."""
    pytest.importorskip("atheris", reason="atheris has no wheel for this Python or system")
    words = ["-m", "tests.streaming.guided", "-runs=20000", "-seed=7", "-max_len=800"]
    run = subprocess.run(
        [sys.executable, *words, f"-artifact_prefix={tmp_path}/"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Done 20000 runs" in run.stderr
