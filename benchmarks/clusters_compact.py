"""The compaction's rows of `neardup bench clusters`: what changed alone, beside the whole log.

A lake is written directly, a million pins in the order of their arrival: half of them alone, the
others in families of 6 on average, geometrically distributed, which come at any time. So a new pin
that is not alone concerns a family of 11 on average, and 1 % new pins concern 5 % of all.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neardup.batch.compact import recipe_of
from neardup.batch.sharing import BySize, OnSpark
from neardup.benchmarks.figures import Figure, compared
from neardup.clusters.compaction import Outcome, prepare
from neardup.clusters.evidence import Evidence
from neardup.clusters.generations import generation_row, prepared_generation, publish_alone
from neardup.clusters.ledger import catch_up, load_store, restore
from neardup.clusters.recompute import Recipe
from neardup.clusters.work import Here, Work
from neardup.index.hamming import distances
from neardup.index.store import PinStore
from neardup.infra.spark import spark_session
from neardup.models.classifier import Classifier
from neardup.models.looks import LOOKS_BYTES
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings, load_settings
from neardup.schemas.tables import LINK, PINS

Int64 = npt.NDArray[np.int64]
Signatures = npt.NDArray[np.uint8]

BATCHES = 100
"""Of equal size; the last is the 1 % that is new."""

ALONE, MEAN_SIZE = 0.5, 6
FLIPPED = (0.02, 0.16)
"""Share of a member's bits that differ from its family's centre; 11 % is the median of real pairs,
which two members are together."""

JUDGED = 1_000_000
REPEATS = 3


class Crowd(NamedTuple):
    """Pins by ordinal: families int64 [n], signatures uint8 [n, 128]."""

    families: Int64
    signatures: Signatures


class Run(NamedTuple):
    seconds: float
    outcome: Outcome


def rows(quick: bool, seed: int) -> list[Figure]:
    n = 100_000 if quick else JUDGED
    rng = np.random.default_rng([seed, n])
    with tempfile.TemporaryDirectory(prefix="neardup-compact-") as directory:
        settings = load_settings(
            None,
            lake={"path": Path(directory) / "lake"},
            compact={"max_moved_share": 1.0},
            spark={"driver_memory": "2g"},
        )
        return measured(settings, Path(directory), crowd(rng, n))


def measured(settings: Settings, directory: Path, pins: Crowd) -> list[Figure]:
    """A stream's first 99 batches, a compaction; its last, and a compaction of what it concerns."""
    n = len(pins.families)
    lake = Lake.create(settings.lake.path)
    recipe = recipe_of(Classifier.load(), settings)
    generation_row(lake, 0, "published", through_batch_seq=-1)
    write(lake, pins, recipe, 0, n - n // BATCHES)
    stream_on(lake, recipe.evidence, directory)
    night = command(settings)
    write(lake, pins, recipe, n - n // BATCHES, n)
    stream_on(lake, recipe.evidence, directory)
    next_night = command(settings)
    changed = []
    for _ in range(REPEATS):
        take_back(lake, lake.current_generation())
        changed.append(timed(lake, recipe, BySize(lake, settings)))
    anew = replace(recipe, model="all of it anew")
    here = timed(lake, anew, Here(lake)).seconds
    take_back(lake, lake.current_generation())
    spark = spark_session(settings.spark, "neardup-bench")
    try:
        whole = []
        for _ in range(REPEATS):
            whole.append(timed(lake, anew, OnSpark(spark, lake)))
            take_back(lake, lake.current_generation())
    finally:
        spark.stop()
    return [judged(n, changed, whole, here), commands(n, next_night, night)]


def judged(n: int, changed: list[Run], whole: list[Run], here: float) -> Figure:
    """Without the first run of each, in which processes load what they need."""
    figures = whole[-1].outcome.figures
    same = figures["split"] == figures["merged"] == 0
    row = compared(
        f"compaction of {n:,} pins, 1 % of them new",
        "s",
        [run.seconds for run in changed[1:]],
        "the whole log recomputed by a warm Spark",
        [run.seconds for run in whole[1:]],
        target="ratio <= 1/20 at 1M",
        quality=f"{changed[-1].outcome.recomputed:,} pins are in components that new ones touch; "
        f"partition identical to the whole log's: {same}; the whole log by this process alone: "
        f"{here:.1f} s",
    )
    row.met = None if n < JUDGED else row.ratio is not None and row.ratio <= 1 / 20 and same
    return row


def commands(n: int, changed: float, whole: float) -> Figure:
    return compared(
        f"`neardup compact` of {n:,} pins, 1 % of them new, as a command",
        "s",
        [changed],
        "the same of a lake that was never compacted (99 % of the pins)",
        [whole],
        quality="from start to end of the process; neither starts Spark",
    )


def command(settings: Settings) -> float:
    """Seconds of a `neardup compact` by itself."""
    own = {
        "NEARDUP_LAKE__PATH": str(settings.lake.path),
        "NEARDUP_COMPACT__MAX_MOVED_SHARE": "1",
        "NEARDUP_SPARK__DRIVER_MEMORY": settings.spark.driver_memory,
    }
    begin = time.perf_counter()
    words = [sys.executable, "-m", "neardup.cli.main", "compact"]
    subprocess.run(words, env={**os.environ, **own}, check=True, capture_output=True)
    return time.perf_counter() - begin


def timed(lake: Lake, recipe: Recipe, work: Work) -> Run:
    """Seconds from the log to the published generation."""
    begin = time.perf_counter()
    outcome = prepare(lake, recipe, work)
    prepared = prepared_generation(lake)
    assert outcome is not None and prepared is not None
    publish_alone(lake, prepared, recipe.evidence, outcome.history)
    return Run(time.perf_counter() - begin, outcome)


def take_back(lake: Lake, generation: int) -> None:
    """As if a generation had never been."""
    lake.remove_generation(generation)
    lake.table("generations").delete(f"generation = {generation}")


def crowd(rng: np.random.Generator, n: int) -> Crowd:
    """Families whose members differ from a random centre in a share of the bits."""
    sizes = rng.geometric(1 / MEAN_SIZE, int(2 * (1 - ALONE) * n / MEAN_SIZE))
    sizes = sizes[np.cumsum(sizes) <= (1 - ALONE) * n]
    families = np.repeat(np.arange(len(sizes)), sizes)
    families = np.append(families, np.arange(len(sizes), len(sizes) + n - len(families)))
    families = rng.permutation(families)
    shares = rng.uniform(*FLIPPED, (4096, 1))
    patterns = np.packbits(rng.random((4096, 1024), np.float32) < shares, axis=1)
    signatures = rng.integers(0, 256, (families.max() + 1, 128), np.uint8)[families]
    signatures ^= patterns[rng.integers(0, len(patterns), n)]
    return Crowd(families, signatures)


def write(lake: Lake, pins: Crowd, recipe: Recipe, begin: int, end: int) -> None:
    """The rows of ``pins`` of a stretch of ordinals, in one commit."""
    ordinals = np.arange(begin, end)
    columns = {
        "pin_id": pa.array([f"pin-{i:08d}" for i in ordinals.tolist()]),
        "kind": pa.repeat("add", len(ordinals)),
        "ordinal": pa.array(ordinals),
        "signature": binary(pins.signatures[begin:end]),
        "looks": pa.repeat(pa.scalar(bytes([1]) * LOOKS_BYTES), len(ordinals)),  # all alike
        "links": links_of(pins, recipe, begin, end),
        "batch_seq": pa.array(ordinals * BATCHES // len(pins.families)),
        "topic_id": pa.repeat("bench", len(ordinals)),
        "partition": pa.repeat(pa.scalar(0, pa.int32()), len(ordinals)),
        "offset": pa.array(ordinals),
        "event_time": pa.repeat(
            pa.scalar(datetime.now(UTC), PINS.schema.field("event_time").type), len(ordinals)
        ),
    }
    absent = [pa.nulls(len(ordinals), field.type) for field in PINS.schema]
    arrays = [columns.get(f.name, null) for f, null in zip(PINS.schema, absent, strict=True)]
    lake.append("pins", pa.Table.from_arrays(arrays, schema=PINS.schema))


def binary(signatures: Signatures) -> pa.Array:
    data = pa.py_buffer(np.ascontiguousarray(signatures))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(128), len(signatures), [None, data]).cast(
        pa.binary()
    )


def links_of(pins: Crowd, recipe: Recipe, begin: int, end: int) -> pa.Array:
    """Links to older members of the family, at most 32, scored by distance; a list for each pin."""
    order = np.lexsort((np.arange(len(pins.families)), pins.families))
    newer, older = [], []
    for back in range(1, recipe.max_links + 1):
        one, other = order[back:], order[:-back]
        kept = (pins.families[one] == pins.families[other]) & (one >= begin) & (one < end)
        newer.append(one[kept])
        older.append(other[kept])
    left, right = np.concatenate(newer), np.concatenate(older)
    bits = distances(pins.signatures[left], pins.signatures[right])
    scores = recipe.evidence.by_hamming[bits]
    accepted = np.flatnonzero(scores >= recipe.threshold)
    accepted = accepted[np.lexsort((bits[accepted], left[accepted]))]
    fields = [
        pa.array(right[accepted]),
        pa.repeat(pa.scalar(9, pa.int32()), len(accepted)),
        pa.array(bits[accepted]),
        pa.array(scores[accepted]),
    ]
    flat = pa.StructArray.from_arrays(fields, fields=list(LINK))
    offsets = np.searchsorted(left[accepted], np.arange(begin, end + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


def stream_on(lake: Lake, evidence: Evidence, directory: Path) -> None:
    """Fold what came, as the stream does."""
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        store = load_store(lake, PinStore(Path(folder)))
        catch_up(lake, restore(lake, lake.current_generation(), evidence, store))
