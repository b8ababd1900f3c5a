"""A lake in which every table has something to check: segments, exemplars, generations, words."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from neardup.clusters.fold import FOUNDER_BITS
from neardup.clusters.generations import generation_row
from neardup.index.exemplars import NOBODY, Exemplars
from neardup.index.ids import id_hashes
from neardup.index.lake_segments import rows_of
from neardup.index.plans import ensure_plan
from neardup.index.segment import build_segment
from neardup.index.store import PinStore, stacked
from neardup.schemas.lake import Lake
from tests.lakes import link, pin, signature

SEGMENT_PINS = 3


def park(path: Path, directory: Path) -> Lake:
    """Nine pins in six batches, one of them deleted, two replaced; offsets are tens.

    oak-2 is answered for by oak, and elected when oak is replaced. fern was alone in its cluster
    when it was deleted. Two segments of three pins; a second generation from batch 3 on.
    """
    rng = np.random.default_rng(7)
    oak, elm, fern, moss, reed = (signature(rng) for _ in range(5))
    batches = [
        [
            pin("oak", 0, 10, ordinal=0, signature=oak),
            pin("elm", 0, 20, ordinal=1, signature=elm),
            pin("fern", 0, 30, ordinal=2, signature=fern),
        ],
        [
            pin(
                "oak-2",
                1,
                40,
                ordinal=3,
                exemplar=0,
                signature=signature(rng, oak, 4),
                links=[link(0, 4)],
            ),
            pin(
                "oak-3",
                1,
                50,
                ordinal=4,
                signature=signature(rng, oak, 60),
                links=[link(0, 60)],
            ),
        ],
        [
            pin("fern", 2, 60, kind="delete", previous=2),
            pin("oak", 2, 70, ordinal=5, previous=0, signature=moss),
        ],
        [
            pin("word", 3, 0, kind="override", topic_id="overrides", partition=-1),
            pin("elm", 3, 80, kind="repeat", previous=1),
            pin("moss", 3, 90, ordinal=6, signature=signature(rng, moss, 30), links=[link(5, 30)]),
        ],
        [
            pin("elm", 4, 100, ordinal=7, previous=1, signature=signature(rng, elm, 200)),
            pin("reed", 4, 110, ordinal=8, signature=reed),
        ],
        [pin("reed", 5, 130, kind="repeat", previous=8)],
    ]
    lake = Lake.create(path)
    generation_row(lake, 0, "published", through_batch_seq=-1)
    said(lake, ["link", "forget"])
    for rows in batches:
        lake.append_rows("pins", rows)
    clusters(lake)
    store = PinStore(directory)
    added = [row for rows in batches for row in rows if row["kind"] == "add"]
    store.extend([row["pin_id"] for row in added], stacked([row["signature"] for row in added]))
    segments(lake, store)
    quarantined = {"topic_id": "t", "partition": 0, "offset": 120, "value": b"{"}
    quarantined |= {"reason": "not_json", "detail": "it ends", "kafka_time": datetime.now(UTC)}
    lake.append_rows("quarantine", [quarantined])
    lake.append_rows("losses", [loss(10, 20)])
    used = {"sequence": 0, "role": "stream", "version": "m", "batch_seq": 0}
    lake.append_rows("models", [{**used, "written_at": datetime.now(UTC)}])
    return lake


def loss(after: int, upto: int) -> dict[str, Any]:
    """What lies between two offsets was accepted as lost."""
    lost = {"topic_id": "t", "partition": 0, "first_offset": after + 1, "end_offset": upto}
    return {**lost, "batch_seq": 0, "written_at": datetime.now(UTC)}


def clusters(lake: Lake) -> None:
    """The stream's memberships, those of a compaction after batch 3, and both since."""
    oak, oak_2, moss = ("oak", 0), ("oak-2", 3), ("oak", 5)
    rows = [
        member(0, 0, *oak, 0, *oak),
        member(0, 0, "elm", 1, 1, "elm", 1),
        member(0, 0, "fern", 2, 2, "fern", 2),
        member(0, 1, *oak_2, 0, *oak),
        member(0, 1, "oak-3", 4, 0, *oak),
        member(0, 2, "fern", 2, None, None, None),
        member(0, 2, *moss, 5, *moss),
        member(0, 2, *oak_2, 0, *oak_2),
        member(0, 3, "moss", 6, 5, *moss),
        member(0, 4, "elm", 7, 7, "elm", 7),
        member(0, 4, "reed", 8, 8, "reed", 8),
        member(1, 3, *oak_2, 0, *oak_2),
        member(1, 3, "oak-3", 4, 0, *oak_2),
        member(1, 3, "elm", 1, 1, "elm", 1),
        member(1, 3, *moss, 5, *moss),
        member(1, 3, "moss", 6, 5, *moss),
        member(1, 4, "elm", 7, 1 << FOUNDER_BITS | 7, "elm", 7),
        member(1, 4, "reed", 8, 1 << FOUNDER_BITS | 8, "reed", 8),
    ]
    lake.append_rows("clusters", rows)
    went = {"cluster_id": 2, "successor": 1 << FOUNDER_BITS | 2, "shared": 1, "share": 1.0}
    lake.append_rows("cluster_history", [{**went, "generation": 1, "batch_seq": 3}])
    generation_row(lake, 1, "prepared", through_batch_seq=3)
    generation_row(lake, 1, "published", through_batch_seq=3)


def member(
    generation: int,
    batch_seq: int,
    pin_id: str,
    ordinal: int,
    cluster_id: int | None,
    head: str | None,
    head_ordinal: int | None,
) -> dict[str, Any]:
    """A row for ``clusters``."""
    return {
        "pin_id": pin_id,
        "ordinal": ordinal,
        "cluster_id": cluster_id,
        "head": head,
        "head_ordinal": head_ordinal,
        "generation": generation,
        "batch_seq": batch_seq,
    }


def said(lake: Lake, kinds: list[str]) -> None:
    """Rows of overrides, the last of which takes the first back."""
    rows = [
        {
            "sequence": number,
            "kind": kind,
            "pin_id": "oak",
            "other": "elm",
            "forgets": 0 if kind == "forget" else None,
            "who": "someone",
            "why": "because",
            "written_at": datetime.now(UTC),
        }
        for number, kind in enumerate(kinds)
    ]
    lake.append_rows("overrides", rows)


def indexed(lake: Lake) -> Exemplars:
    """The exemplars after all of the log."""
    log = lake.rows(
        """SELECT ordinal, exemplar, CASE WHEN kind IN ('add', 'delete') THEN previous END AS ended
        FROM pins ORDER BY batch_seq, partition, "offset" """
    )
    columns = (
        np.array([NOBODY if row[name] is None else row[name] for row in log], np.int64)
        for name in ("ordinal", "exemplar", "ended")
    )
    exemplars = Exemplars()
    exemplars.replay(*columns)
    return exemplars


def segments(lake: Lake, store: PinStore) -> None:
    """Two segments; pins 6, 7 and 8 stay in the memtable."""
    for first in (0, SEGMENT_PINS):
        lake.append_rows("segments", segment_rows(lake, store, (first, first + SEGMENT_PINS)))


def segment_rows(
    lake: Lake,
    store: PinStore,
    span: tuple[int, int],
    held: list[int] | None = None,
    names: dict[int, str] | None = None,
    flip: int = 0,
) -> list[dict[str, Any]]:
    """The rows of a segment; with other pins than should be ``held``, other ``names``, or with the
    first bits of every signature turned by ``flip``."""
    exemplars = indexed(lake)
    ordinals = exemplars.indexed(*span) if held is None else np.array(held, np.int64)
    live = exemplars.live(*span)
    named = [(names or {}).get(o, store.pin_id(o)) for o in live.tolist()]
    bits = store.signatures(ordinals) ^ np.uint8(flip)
    built = build_segment(span, ordinals, bits, id_hashes(named), live, ensure_plan(lake))
    return rows_of(built)


def rewrite(lake: Lake, name: str, rows: list[dict[str, Any]]) -> None:
    """Put other rows in the place of all that a table has."""
    from deltalake import write_deltalake

    table = pa.Table.from_pylist(rows, schema=lake.dataset(name).schema)
    write_deltalake(lake.table(name), table, mode="overwrite")
