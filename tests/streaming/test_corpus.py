"""Corpora as events: what is read, what is refused as a whole, what is left to each row."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from neardup.models.hasher import Hasher
from neardup.schemas.errors import SourceError
from neardup.schemas.settings import EventSettings, ModelSettings
from neardup.streaming.columns import Columns
from neardup.streaming.corpus import open_source
from neardup.streaming.hashing import HashingPlan, hash_records
from neardup.streaming.sources import RECORDS, Source, pieces
from tests.paths.pictures import PHOTOS

HASHER = Hasher.load()
COLUMNS = Columns()
Array = Callable[["np.ndarray[Any, Any]"], pa.Array]


def opened(path: Path, columns: Columns = COLUMNS, version: int | None = None) -> Source:
    return open_source(path, columns, HASHER, version)


def records(source: Source, begin: int = 0, end: int | None = None) -> list[dict[str, Any]]:
    """The rows as Kafka's columns."""
    end = sum(source.sizes) if end is None else end
    found = []
    for piece in pieces(source.sizes, begin, end):
        for batch in source.reader(piece).records():
            assert batch.schema == RECORDS
            found += batch.to_pylist()
    return found


def hashed(source: Source, roots: tuple[Path, ...] = ()) -> list[dict[str, Any]]:
    plan = HashingPlan(EventSettings(allowed_roots=roots), ModelSettings(), 0)
    return hash_records(plan, records(source))


def vectors(n: int, seed: int = 1) -> "np.ndarray[Any, Any]":
    return np.random.default_rng(seed).normal(size=(n, HASHER.dim)).astype(np.float32)


def embeddings(values: "np.ndarray[Any, Any]") -> pa.Array:
    return pa.array(list(values), pa.list_(pa.float32()))


FORMS: dict[str, Array] = {
    "list of float": embeddings,
    "large list of double": lambda v: pa.array(list(v), pa.large_list(pa.float64())),
    "fixed-size list": lambda v: pa.FixedSizeListArray.from_arrays(v.ravel(), HASHER.dim),
    "binary": lambda v: pa.array([row.astype("<f4").tobytes() for row in v]),
    "fixed-size binary": lambda v: pa.array(
        [row.astype("<f4").tobytes() for row in v], pa.binary(4 * HASHER.dim)
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_embedding_has_the_signature_of_its_values(
    form: str, tmp_path: Path
) -> None:
    values = vectors(600)
    ids = [f"pin {i}" for i in range(len(values))]
    table = pa.table({"pin_id": ids, "embedding": FORMS[form](values)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=250)
    rows = hashed(opened(tmp_path / "a.parquet"))
    assert [row["pin_id"] for row in rows] == ids
    assert [row["offset"] for row in rows] == list(range(600))
    assert {row["kind"] for row in rows} == {"add"}
    found = np.frombuffer(b"".join(row["signature"] for row in rows), np.uint8)
    assert np.array_equal(found.reshape(-1, 128), HASHER.sign(values))


def test_half_floats_are_read_as_the_values_they_hold(tmp_path: Path) -> None:
    values = vectors(3).astype(np.float16)
    column = pa.array([row.tolist() for row in values], pa.list_(pa.float16()))
    pq.write_table(pa.table({"pin_id": [1, 2, 3], "embedding": column}), tmp_path / "a.parquet")
    rows = hashed(opened(tmp_path / "a.parquet"))
    found = np.frombuffer(b"".join(row["signature"] for row in rows), np.uint8)
    assert np.array_equal(found.reshape(-1, 128), HASHER.sign(values.astype(np.float32)))
    assert [row["pin_id"] for row in rows] == ["1", "2", "3"], "integers are ids too"


def test_any_piece_is_the_slice_of_the_whole(tmp_path: Path) -> None:
    for name, n in {"b": 700, "a": 300, "c": 1}.items():
        table = pa.table({"pin_id": [f"{name}{i}" for i in range(n)], "embedding": [b""] * n})
        pq.write_table(table, tmp_path / f"{name}.parquet", row_group_size=256)
    source = opened(tmp_path)
    assert list(source.sizes) == [300, 700, 1], "in the order of their names"
    whole = records(source)
    assert whole[300]["key"] == b"b0" and whole[300]["partition"] == 1
    for begin, end in [(0, 1), (255, 258), (299, 301), (300, 1000), (900, 1001), (7, 7)]:
        assert records(source, begin, end) == whole[begin:end]


def test_all_fields_of_an_event_are_taken_where_they_are(tmp_path: Path) -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
    table = pa.table(
        {
            "pin_id": ["full", "bare"],
            "embedding": embeddings(vectors(2)),
            "created_at": pa.array([when, None], pa.timestamp("ns", "Europe/Berlin")),
            "source": pa.array(["web", None]).dictionary_encode(),
            "width": pa.array([640, None], pa.int16()),
            "height": pa.array([480, None], pa.uint32()),
            "attributes": pa.array([[("a", "b")], None], pa.map_(pa.string(), pa.string())),
            "other": [1, 2],
        }
    )
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    full, bare = hashed(opened(path))
    assert full["event_time"] == when
    assert (full["source"], full["width"], full["height"]) == ("web", 640, 480)
    assert full["attributes"] == {"a": "b"}
    assert bare["event_time"] == datetime.fromtimestamp(path.stat().st_mtime, UTC)
    assert bare["source"] is bare["width"] is bare["attributes"] is None


def test_a_bad_row_has_the_reason_that_its_event_would_have(tmp_path: Path) -> None:
    good = vectors(1)[0].tolist()
    cases: dict[str, tuple[str | None, Any, int | None]] = {
        "add": ("ok", good, 7),
        "missing_key": (None, good, 7),
        "no_picture": ("null", None, 7),
        "embedding_length": ("short", good[:-1], 7),
        "embedding_not_finite": ("holey", [*good[:-1], None], 7),
        "embedding_zero": ("zero", [0.0] * len(good), 7),
        "invalid_field": ("flat", good, 0),
    }
    ids, lists, widths = zip(*cases.values(), strict=True)
    table = pa.table(
        {"pin_id": ids, "embedding": pa.array(lists, pa.list_(pa.float32())), "width": widths}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    rows = hashed(opened(tmp_path / "a.parquet"))
    assert [row.get("reason", "add") for row in rows] == list(cases)
    kept = json.loads(rows[3]["value"])
    assert kept["pin_id"] == "short" and rows[3]["key"] == b"short", "nothing is lost"


def test_a_time_beyond_the_calendar_is_one_bad_row(tmp_path: Path) -> None:
    times = pa.array([0, 3 * 10**17], pa.timestamp("us"))
    table = pa.table(
        {"pin_id": ["a", "b"], "embedding": embeddings(vectors(2)), "created_at": times}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    good, bad = hashed(opened(tmp_path / "a.parquet"))
    assert good["event_time"] == datetime(1970, 1, 1, tzinfo=UTC), "without a zone it is UTC"
    assert bad["reason"] == "invalid_field"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no ids": ({"id": ["a"], "embedding": [b""]}, "no column 'pin_id', it has id, embedding"),
    "no embeddings": ({"pin_id": ["a"], "vector": [b""]}, "with --embedding-column"),
    "ids of bytes": ({"pin_id": [b"a"], "embedding": [b""]}, "strings or integers are needed"),
    "whole numbers": ({"pin_id": ["a"], "embedding": [[1, 2]]}, "lists of floats, or binary"),
    "times in words": (
        {"pin_id": ["a"], "embedding": [b""], "created_at": ["yesterday"]},
        "timestamps or dates are needed",
    ),
    "another network's": (
        {"pin_id": ["a"], "embedding": pa.array([[1.0] * 8], pa.list_(pa.float32(), 8))},
        "holds 8 values a row; the hasher",
    ),
    "bytes of another length": (
        {"pin_id": ["a"], "embedding": pa.array([bytes(12)], pa.binary(12))},
        "holds 3 values a row",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_columns_that_cannot_be_events_are_refused_before_anything_is_read(
    name: str, tmp_path: Path
) -> None:
    columns, sentence = REFUSED[name]
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=sentence):
        opened(tmp_path / "a.parquet")


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    table = pa.table({"id": ["a"], "vector": embeddings(vectors(1)), "embedding": [1]})
    pq.write_table(table, tmp_path / "a.parquet")
    (row,) = hashed(opened(tmp_path / "a.parquet", Columns("id", "vector")))
    assert (row["kind"], row["pin_id"]) == ("add", "a")


def test_what_is_no_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="There is nothing at"):
        opened(tmp_path / "absent")
    with pytest.raises(SourceError, match="nothing to backfill"):
        opened(tmp_path)
    (tmp_path / "notes.txt").write_text("no corpus", "utf-8")
    with pytest.raises(SourceError, match=r"notes.txt cannot be read as Parquet"):
        opened(tmp_path / "notes.txt")
    pq.write_table(pa.table({"pin_id": ["a"], "embedding": [b""]}), tmp_path / "a.parquet")
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(SourceError, match="1 Parquet files and 1 pictures"):
        opened(tmp_path)


def test_what_spark_leaves_beside_its_files_is_not_read(tmp_path: Path) -> None:
    table = pa.table({"pin_id": ["a"], "embedding": [b""]})
    (tmp_path / "_temporary").mkdir()
    for name in ("part-0.parquet", "_temporary/part-1.parquet", ".part-2.parquet"):
        pq.write_table(table, tmp_path / name)
    assert list(opened(tmp_path).sizes) == [1]


def test_a_fingerprint_follows_the_content_not_the_place(tmp_path: Path) -> None:
    def written(folder: str, value: float, name: str = "a.parquet") -> Path:
        (tmp_path / folder).mkdir(exist_ok=True)
        column = pa.array([[value] * HASHER.dim], pa.list_(pa.float32()))
        pq.write_table(pa.table({"pin_id": ["a"], "embedding": column}), tmp_path / folder / name)
        return tmp_path / folder

    first = opened(written("one", 0.5)).topic_id
    assert opened(written("two", 0.5)).topic_id == first
    assert opened(written("two", 0.7)).topic_id != first, "as many rows, other values"
    assert opened(written("two", 0.5)).topic_id == first
    assert opened(written("two", 0.5, "b.parquet")).topic_id != first
    assert opened(written("one", 0.5), Columns("pin_id", "embedding")).topic_id == first


def test_a_delta_table_is_read_at_a_version(tmp_path: Path) -> None:
    def some(names: str) -> pa.Table:
        days = pa.array([date(2026, 1, 2)] * len(names))
        columns = {"pin_id": list(names), "embedding": embeddings(vectors(len(names)))}
        return pa.table({**columns, "source": [f"from {n}" for n in names], "created_at": days})

    write_deltalake(tmp_path, some("ab"), partition_by=["source", "created_at"])
    first = opened(tmp_path)
    write_deltalake(tmp_path, some("c"), mode="append")
    second = opened(tmp_path)
    assert first.topic_id != second.topic_id and (first.version, second.version) == (0, 1)
    assert opened(tmp_path, version=0).topic_id == first.topic_id
    rows = hashed(second)
    assert sorted((row["pin_id"], row["source"]) for row in rows) == [
        (name, f"from {name}") for name in "abc"
    ]
    assert {row["event_time"] for row in rows} == {datetime(2026, 1, 2, tzinfo=UTC)}
    assert sorted(row["pin_id"] for row in hashed(first)) == ["a", "b"]
    with pytest.raises(SourceError, match="cannot be read"):
        opened(tmp_path, version=7)


def test_a_delta_table_with_deleted_rows_marked_is_refused(tmp_path: Path) -> None:
    """Reading its files would bring the deleted rows back."""
    table = pa.table({"pin_id": ["a"], "embedding": embeddings(vectors(1))})
    write_deltalake(tmp_path, table)
    log = tmp_path / "_delta_log" / "00000000000000000001.json"
    features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    protocol = {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}}
    log.write_text(json.dumps(protocol), "utf-8")
    with pytest.raises(SourceError, match="deletionVectors"):
        opened(tmp_path)


def test_pictures_are_the_events_that_produce_would_send(tmp_path: Path) -> None:
    photos = sorted(PHOTOS.glob("*.jpg"))[:2]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "one.jpg").write_bytes(photos[0].read_bytes())
    (tmp_path / "two.JPEG").write_bytes(photos[1].read_bytes())
    (tmp_path / "three.png").write_bytes(b"not a picture")
    (tmp_path / "notes.txt").write_text("not named as one", "utf-8")
    source = opened(tmp_path)
    rows = hashed(source, (tmp_path,))
    assert [row.get("pin_id") for row in rows] == ["b/one.jpg", None, "two.JPEG"]
    assert rows[1]["reason"] == "not_an_image" and rows[1]["key"] == b"three.png"
    assert all(len(row["signature"]) == 128 for row in rows[::2])
    (tmp_path / "two.JPEG").unlink()
    assert hashed(source, (tmp_path,))[2]["reason"] == "uri_not_found", "gone since it was listed"
    assert opened(tmp_path).topic_id != source.topic_id


def test_a_name_that_is_not_utf8_is_one_bad_event(tmp_path: Path) -> None:
    name = tmp_path / b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    try:
        name.write_bytes(b"")
    except OSError:
        pytest.skip("this file system allows UTF-8 names only")
    (row,) = hashed(opened(tmp_path), (tmp_path,))
    assert (row["reason"], row["key"]) == ("invalid_field", b"caf\xe9.jpg")
