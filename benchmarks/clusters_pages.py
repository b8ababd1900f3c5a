"""`neardup show` in `neardup bench clusters`: a page of a giant cluster costs as any other page."""

import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from neardup.answers.show import show
from neardup.benchmarks.figures import Figure, compared
from neardup.clusters.generations import generation_row
from neardup.models.classifier import Classifier
from neardup.schemas.lake import Lake
from neardup.schemas.tables import CLUSTERS, PINS

SMALL, PAGE, REPEATS = 10, 50, 3
GAP = 1_000
"""A page far behind begins so many pins before the end."""


def rows(quick: bool) -> list[Figure]:
    """The first page of the giant and one far behind, beside a cluster of ten, in turn."""
    giant = 100_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory(prefix="neardup-pages-") as directory:
        lake = lake_with(Path(directory), giant)
        asked = {"first": ("0", -1), "far": ("0", giant - GAP), "small": (str(giant), -1)}
        seconds: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(REPEATS):
            for name, (cluster, after) in asked.items():
                begin = time.perf_counter()
                page = show(lake, Classifier.load(), cluster, PAGE, after)
                seconds[name].append(time.perf_counter() - begin)
                assert len(page.members) == (SMALL if name == "small" else PAGE)
    row = compared(
        f"neardup show: a page of {PAGE} pins far behind in a cluster of {giant:,}",
        "s",
        seconds["far"],
        "its first page",
        seconds["first"],
        quality=f"a cluster of {SMALL} in the same lake {np.median(seconds['small']):.2f} s: what "
        "takes time is to find who is in the cluster",
    )
    return [row]


def lake_with(folder: Path, giant: int) -> Lake:
    """A lake with one giant cluster, from ordinal 0 on, and a tenth as many pins in small ones."""
    lake = Lake.create(folder / "lake")
    generation_row(lake, 0, "published", through_batch_seq=-1)
    n = giant + giant // 10
    ordinals = np.arange(n)
    founders = np.where(ordinals < giant, 0, (ordinals - giant) // SMALL * SMALL + giant)
    pin_ids = pa.array(ordinals.astype(str))
    known = {
        "pin_id": pin_ids,
        "ordinal": pa.array(ordinals),
        "batch_seq": pa.array(np.zeros(n, np.int64)),
    }
    lake.append(
        "clusters",
        filled(
            CLUSTERS.schema,
            {
                **known,
                "cluster_id": pa.array(founders),
                "head": pin_ids.take(pa.array(founders)),
                "head_ordinal": pa.array(founders),
                "generation": known["batch_seq"],
            },
        ),
    )
    link = PINS.schema.field("links").type.value_type
    parts = [np.maximum(ordinals - 1, 0), np.ones(n), np.full(n, 9), np.full(n, 9.0)]
    links = pa.StructArray.from_arrays(
        [pa.array(p).cast(f.type) for p, f in zip(parts, link, strict=True)], fields=list(link)
    )
    lake.append(
        "pins",
        filled(
            PINS.schema,
            {
                **known,
                "kind": pa.array(np.full(n, "add")),
                "links": pa.ListArray.from_arrays(
                    pa.array(np.arange(n + 1, dtype=np.int32)), links
                ),
                "topic_id": pa.array(np.full(n, "t")),
                "partition": pa.array(np.zeros(n, np.int32)),
                "offset": known["ordinal"],
                "event_time": known["ordinal"].cast(pa.timestamp("us")),
            },
        ),
    )
    return lake


def filled(schema: pa.Schema, known: dict[str, pa.Array]) -> pa.Table:
    """Rows of a table; columns that are not known are null."""
    n = len(known["ordinal"])
    return pa.table({name: known.get(name, pa.nulls(n)) for name in schema.names}).cast(schema)
