"""Lakes of any size for `neardup bench stream`, made once and kept between runs.

A lake of a million pins by way of Kafka would take an hour. Here its rows are written directly,
through the same functions as a stream's: `pins`, the segments that flushes and merges would have
left, and the memberships that the fold makes of them.
"""

import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neardup.benchmarks.clusters_compact import binary
from neardup.benchmarks.index_data import Crowds, cache_folder
from neardup.clusters.evidence import evidence_of
from neardup.clusters.generations import generation_row
from neardup.clusters.ledger import catch_up, load_store, restore
from neardup.index.cache import SegmentCache
from neardup.index.ids import id_hashes
from neardup.index.lake_segments import write_segment
from neardup.index.plans import ensure_plan
from neardup.index.policy import Span, flush_ranges, live_spans, merge_spans
from neardup.index.postings import MAX_PINS
from neardup.index.segment import build_segment
from neardup.index.store import PinStore
from neardup.models.classifier import Classifier
from neardup.models.hasher import Hasher
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings
from neardup.schemas.tables import FORMAT_VERSION, LINK, PINS
from neardup.streaming.segments import open_segment
from neardup.streaming.sources import BACKFILL

ROWS_AT_ONCE = 100_000
_VERSION = 3  # of what is written here

Signatures = npt.NDArray[np.uint8]


def lake_of(n: int, seed: int, directory: Path) -> None:
    """Put a lake of ``n`` pins at ``directory/lake``, its decoded segments where TMPDIR=directory
    has them looked for.

    Files are linked, not copied: nothing ever changes a data file of Delta or a decoded segment.
    """
    shutil.copytree(_kept(n, seed), directory, copy_function=_linked, dirs_exist_ok=True)


def _linked(source: str, target: str) -> None:
    """Logs are copied: they are small, and maintenance writes `_last_checkpoint` anew."""
    if "_delta_log" in source:
        shutil.copy2(source, target)
    else:
        os.link(source, target)


def _kept(n: int, seed: int) -> Path:
    hasher = Hasher.load()
    kept = cache_folder() / f"lake-{n}-{seed}-{hasher.version}-{FORMAT_VERSION}-{_VERSION}"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=kept.parent))
        _make(unfinished, hasher, n, seed)
        unfinished.rename(kept)
    return kept


def _make(directory: Path, hasher: Hasher, n: int, seed: int) -> None:
    lake = Lake.create(directory / "lake")
    settings = Settings()
    generation_row(lake, 0, "published", through_batch_seq=-1)
    plan = ensure_plan(lake)
    if not n:
        return
    crowd = Crowds(hasher, seed).signatures(n)
    for begin in range(0, n, ROWS_AT_ONCE):
        lake.append("pins", _rows(hasher, crowd, begin, min(n, begin + ROWS_AT_ONCE)))
    decoded = directory / "neardup-segments" / lake.cache_directory().name
    cache = SegmentCache(decoded, settings.stream.cache_bytes)
    for span in _spans(n, settings.stream.flush_pins):
        ordinals = np.arange(*span)
        hashes = id_hashes([_pin_id(ordinal) for ordinal in ordinals.tolist()])
        signatures = np.array(crowd[slice(*span)])
        built = build_segment(span, ordinals, signatures, hashes, ordinals, plan)
        write_segment(lake, built)
        open_segment(lake, cache, built.segment_id)
    evidence = evidence_of(Classifier.load(), settings)
    with tempfile.TemporaryDirectory() as folder:
        store = load_store(lake, PinStore(Path(folder)))
        catch_up(lake, restore(lake, lake.current_generation(), evidence, store))
    lake.maintain()


def _pin_id(ordinal: int) -> str:
    return f"base-{ordinal:08d}"


def _spans(n: int, flush_pins: int) -> list[Span]:
    """The segments that a stream has after ``n`` pins."""
    flushed = flush_ranges(0, n, flush_pins)
    return live_spans([*flushed, *merge_spans(flushed, flush_pins, MAX_PINS)])


def _rows(hasher: Hasher, crowd: Signatures, begin: int, end: int) -> pa.Table:
    """Rows of `pins`: every pin new, indexed and alone."""
    n = end - begin
    at = pa.scalar(datetime(2026, 1, 1, tzinfo=UTC), PINS.schema.field("event_time").type)
    columns = {
        "pin_id": pa.array([_pin_id(ordinal) for ordinal in range(begin, end)]),
        "kind": pa.repeat("add", n),
        "ordinal": pa.array(np.arange(begin, end)),
        "signature": binary(crowd[begin:end]),
        "hasher": pa.repeat(hasher.version, n),
        "links": pa.array([[]] * n, pa.list_(LINK)),
        "model": pa.repeat(Classifier.load().version, n),
        "batch_seq": pa.repeat(begin // ROWS_AT_ONCE, n),
        "topic_id": pa.repeat(BACKFILL + "bench", n),
        "partition": pa.repeat(pa.scalar(0, pa.int32()), n),
        "offset": pa.array(np.arange(begin, end)),
        "event_time": pa.repeat(at, n),
    }
    absent = {field.name: pa.nulls(n, field.type) for field in PINS.schema}
    return pa.table({**absent, **columns}).select(PINS.schema.names).cast(PINS.schema)
