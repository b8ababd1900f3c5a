"""A small lake with known content, made by the same code as the stream's, without Spark."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from neardup.clusters.evidence import Evidence
from neardup.clusters.generations import generation_row
from neardup.clusters.ledger import FOLDED, Ledger, commit, find, fold_rows
from neardup.clusters.people import events, heard, waiting
from neardup.index.store import PinStore, looks_of, stacked
from neardup.schemas.lake import Lake
from neardup.schemas.tables import PINS

EVIDENCE = Evidence(((300 - np.arange(1025)) / 20).astype(np.float32), trusted=3.0)


def signature(rng: np.random.Generator, like: bytes | None = None, flips: int = 0) -> bytes:
    """128 random bytes, or ``like`` with ``flips`` bits changed."""
    if like is None:
        return rng.bytes(128)
    bits = np.unpackbits(np.frombuffer(like, np.uint8))
    bits[rng.choice(1024, flips, replace=False)] ^= 1
    return np.packbits(bits).tobytes()


def pin(
    pin_id: str, batch_seq: int, offset: int, kind: str = "add", **columns: Any
) -> dict[str, Any]:
    """A row for ``pins``."""
    return {
        "pin_id": pin_id,
        "kind": kind,
        "ordinal": None,
        "previous": None,
        "links": [],
        "batch_seq": batch_seq,
        "topic_id": "t",
        "partition": 0,
        "offset": offset,
        "event_time": datetime.now(UTC) - timedelta(minutes=5),
        "hasher": "h",
        "model": "m",
        **columns,
    }


def copy(
    pin_id: str,
    batch_seq: int,
    offset: int,
    rng: np.random.Generator,
    original: bytes,
    flips: int,
    **columns: Any,
) -> dict[str, Any]:
    """A row for ``pins`` whose signature differs from ``original`` in ``flips`` bits."""
    return pin(pin_id, batch_seq, offset, signature=signature(rng, original, flips), **columns)


def link(ordinal: int, hamming: int) -> dict[str, Any]:
    score = float(EVIDENCE.by_hamming[hamming])
    return {"ordinal": ordinal, "overlap": 9, "hamming": hamming, "score": score}


def garden(path: Path, directory: Path) -> Lake:
    """Two roses, a tulip whose copy was deleted, a daisy sent twice, and one bad event."""
    rng = np.random.default_rng(1)
    rose, tulip, daisy = (signature(rng) for _ in range(3))
    batches = [
        [
            pin(
                "rose",
                0,
                0,
                ordinal=0,
                signature=rose,
                looks=bytes(range(24)),
                width=640,
                height=480,
            ),
            pin("tulip", 0, 1, ordinal=1, signature=tulip),
        ],
        [
            pin(
                "rose-copy",
                1,
                2,
                ordinal=2,
                signature=signature(rng, rose, 40),
                links=[link(0, 40)],
            ),
            pin(
                "tulip-copy",
                1,
                3,
                ordinal=3,
                signature=signature(rng, tulip, 9),
                links=[link(1, 9)],
            ),
            pin("daisy", 1, 4, ordinal=4, signature=daisy),
        ],
        [
            pin("tulip-copy", 2, 5, kind="delete", previous=3),
            pin("daisy", 2, 6, kind="repeat", previous=4),
        ],
    ]
    lake = Lake.create(path)
    generation_row(lake, 0, "published", through_batch_seq=-1)
    ledger = Ledger.empty(EVIDENCE, PinStore(directory))
    for rows in batches:
        write_batch(lake, ledger, rows)
    lake.append_rows(
        "quarantine",
        [
            {
                "topic_id": "t",
                "partition": 0,
                "offset": 7,
                "value": b"{",
                "reason": "not_json",
                "detail": "it ends early",
                "kafka_time": datetime.now(UTC),
            }
        ],
    )
    return lake


def write_batch(lake: Lake, ledger: Ledger, rows: list[dict[str, Any]]) -> None:
    """Commit a batch as the stream does: `pins`, then `clusters`."""
    added = [row for row in rows if row["kind"] == "add"]
    pins = pa.Table.from_pylist(rows, schema=PINS.schema)
    lake.append("pins", pins)
    signatures = stacked([row["signature"] for row in added])
    looks = looks_of([row.get("looks") for row in added])
    ledger.store.extend([row["pin_id"] for row in added], signatures, looks)
    commit(lake, fold_rows(ledger, pins.select(FOLDED)))


def said(lake: Lake, ledger: Ledger, batch_seq: int) -> list[dict[str, Any]]:
    """Rows for `pins` of what people said since, as the stream makes them of a lake like these."""
    rows = waiting(lake, max(heard(lake), default=-1))
    ledger.word.learn(rows, partial(find, lake, ledger.through))
    return events(rows, batch_seq)
