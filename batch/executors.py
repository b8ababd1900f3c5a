"""What the executors do in a compaction: forests of links, and the parts of many components."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neardup.clusters.ascending import among, place
from neardup.clusters.components import forest
from neardup.clusters.links import logged_links
from neardup.clusters.recompute import Recipe
from neardup.clusters.work import COLUMNS, Todo, parts_of, trusted_forest
from neardup.schemas.tables import LINK

Int64 = npt.NDArray[np.int64]

EDGES = pa.schema([("newer", pa.int64()), ("older", pa.int64())])
MEMBERS = pa.schema(
    [
        ("bucket", pa.int64()),
        ("ordinal", pa.int64()),
        ("signature", pa.binary()),
        ("looks", pa.binary()),
        ("links", pa.list_(LINK)),
        ("width", pa.int32()),
        ("height", pa.int32()),
    ]
)
PARTS = pa.schema([("ordinal", pa.int64()), ("oldest", pa.int64()), ("head", pa.int64())])

BUCKET_PINS = 16_384
"""Whole components of about so many pins are recomputed at once; a larger component is alone."""


def forest_batches(shared: Any, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """For ``mapInArrow``: the forest of a partition's trusted links, from (ordinal, links).

    ``shared``: broadcast (Evidence, Live).
    """
    evidence, live = shared.value
    left, right = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for batch in batches:
        table = pa.Table.from_batches([batch])
        newer, older = trusted_forest(evidence, live, logged_links(*table.columns))
        left.append(newer)
        right.append(older)
    newer, older = forest(np.concatenate(left), np.concatenate(right))
    yield pa.RecordBatch.from_arrays([pa.array(newer), pa.array(older)], schema=EDGES)


def buckets(components: Int64) -> Int64:
    """For each pin of components int64 [n] the number of the bucket that its component is in."""
    _, which, sizes = np.unique(components, return_inverse=True, return_counts=True)
    bucket: Int64 = ((np.cumsum(sizes) - sizes) // BUCKET_PINS)[which]
    return bucket


def in_buckets(shared: Any, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """For ``mapInArrow``: those rows of the log (COLUMNS) that are to be recomputed, as MEMBERS.

    ``shared``: broadcast (ordinals int64 [n] ascending, their buckets int64 [n]).
    """
    ordinals, bucket = shared.value
    for batch in batches:
        own = batch.column("ordinal").to_numpy()
        kept = np.flatnonzero(among(ordinals, own))
        pins = batch.take(pa.array(kept))
        columns = [pa.array(bucket[place(ordinals, own[kept])])]
        columns += [pins.column(name) for name in COLUMNS]
        columns = [column.cast(kind) for column, kind in zip(columns, MEMBERS.types, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, schema=MEMBERS)


def bucket_parts(shared: Any, pins: pa.Table) -> pa.Table:
    """For ``applyInArrow``: the parts of a bucket's components, from MEMBERS, as PARTS.

    ``shared``: broadcast (Recipe, Todo).
    """
    recipe: Recipe
    todo: Todo
    recipe, todo = shared.value
    done = parts_of(recipe, todo, pins.select(COLUMNS))
    return pa.Table.from_arrays([pa.array(column) for column in done], schema=PARTS)
