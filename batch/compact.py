"""The nightly compaction: a better fold of a prefix of the log, as a new generation.

Components of the trusted links (a forest per Spark partition, merged on the driver: exact), then
a greedy k-cut inside each. Nothing that readers or the stream use is touched: the generation is
written beside the current one and published in one commit, by the stream between two of its
batches or, when no stream runs, here.
"""

import logging
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from neardup.batch.cut import EDGES, MEMBERS, PARTS, cut_component, forest_batches, in_components
from neardup.clusters.components import components
from neardup.clusters.evidence import Evidence
from neardup.clusters.generations import generation_row, prepared_generation, publish
from neardup.clusters.identity import keep_ids
from neardup.clusters.ledger import covered_batch, load_store
from neardup.clusters.quality import agreement
from neardup.index.store import PinStore
from neardup.models.classifier import Classifier
from neardup.schemas.errors import StreamError
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings
from neardup.schemas.tables import CLUSTERS
from neardup.schemas.views import memberships

log = logging.getLogger(__name__)

Int64 = npt.NDArray[np.int64]
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Live:
    """The live pins after batch ``through``, by ordinal: their ids and present clusters, [n]."""

    through: int
    ordinals: Int64
    pin_ids: list[str]
    cluster_ids: Int64


def compact(spark: SparkSession, settings: Settings) -> dict[str, Any]:
    """Write and publish the next generation; its figures.

    A generation that an earlier run prepared but nobody published is published first. Raises
    LakeError if the lake is empty, StreamError if a running stream does not publish in time.
    """
    lake = Lake(settings.lake.path)
    classifier = Classifier.load(settings.models.classifier)
    evidence = Evidence(classifier.hamming_log_odds, classifier.trusted)
    with lake.lease("compact"):
        if prepared_generation(lake):
            publish_or_wait(lake, evidence, settings.compact.publish_wait_seconds)
        figures = prepare(spark, lake, evidence, settings.compact.max_cut_pins)
        publish_or_wait(lake, evidence, settings.compact.publish_wait_seconds)
    return figures


def prepare(
    spark: SparkSession, lake: Lake, evidence: Evidence, max_cut_pins: int
) -> dict[str, Any]:
    """Write the rows of the next generation and announce it as prepared; the announcement."""
    current = lake.current_generation()
    generation = _next_generation(lake)
    live = _live(lake, current)
    parts, heads = _partition(spark, lake, live, evidence, max_cut_pins)
    ids = keep_ids(live.cluster_ids, parts, generation)
    _write(spark, lake, _rows(live, ids, heads, generation))
    figures = {
        "through_batch_seq": live.through,
        "pins": len(ids),
        "clusters": len(np.unique(ids)),
        "moved": int((ids != live.cluster_ids).sum()),
        "pair_f1": agreement(live.cluster_ids, ids).pair_f1,
    }
    generation_row(lake, generation, "prepared", **figures)
    log.info("prepared generation %d: %s", generation, figures)
    return {"generation": generation, **figures}


def _next_generation(lake: Lake) -> int:
    """One past the last announced; rows that a killed compaction left under it are removed."""
    last = lake.rows("SELECT max(generation) AS last FROM generations")[0]["last"]
    generation = int(last) + 1
    if lake.dataset("clusters").count_rows(filter=ds.field("generation") == generation):
        lake.remove_generation(generation)
    return generation


def _live(lake: Lake, generation: int) -> Live:
    through = covered_batch(lake, generation)
    rows = lake.sql(memberships(str(generation), through)).sort_by("ordinal")
    return Live(
        through,
        rows.column("ordinal").to_numpy(),
        rows.column("pin_id").to_pylist(),
        rows.column("cluster_id").to_numpy(),
    )


def _partition(
    spark: SparkSession, lake: Lake, live: Live, evidence: Evidence, max_cut_pins: int
) -> tuple[Int64, Int64]:
    """For each live pin the ordinals of its part's founder and head, int64 [n] each."""
    pins = spark.read.format("delta").load(str(lake.path / "pins"))
    added = pins.where((F.col("kind") == "add") & (F.col("batch_seq") <= live.through))
    roots = _components(spark, added, live, evidence.trusted)
    _, inverse, sizes = np.unique(roots, return_inverse=True, return_counts=True)
    several = sizes[inverse] > 1
    parts, heads = live.ordinals.copy(), live.ordinals.copy()
    if several.any():
        labels = spark.sparkContext.broadcast((live.ordinals[several], roots[several]))
        members = added.select("ordinal", "signature", "links").mapInArrow(
            partial(in_components, labels), from_arrow_schema(MEMBERS)
        )

        def cut(pins: pa.Table) -> pa.Table:  # Spark reads the annotations; a partial has none
            return cut_component(evidence, max_cut_pins, pins)

        by_component = members.groupBy("component")
        found = by_component.applyInArrow(cut, from_arrow_schema(PARTS)).toArrow()
        where = np.searchsorted(live.ordinals, found.column("ordinal").to_numpy())
        parts[where] = found.column("part").to_numpy()
        heads[where] = found.column("head").to_numpy()
    return parts, heads


def _components(spark: SparkSession, added: DataFrame, live: Live, trusted: float) -> Int64:
    """For each live pin the ordinal of the oldest pin of its component, int64 [n]."""
    links = added.select("ordinal", F.explode("links").alias("link"))
    edges = links.where(F.col("link.score") >= trusted).selectExpr(
        "ordinal AS newer", "link.ordinal AS older"
    )
    ordinals = spark.sparkContext.broadcast(live.ordinals)
    forests = edges.mapInArrow(
        partial(forest_batches, ordinals), from_arrow_schema(EDGES)
    ).toArrow()
    newer, older = (
        np.searchsorted(live.ordinals, forests.column(name).to_numpy()) for name in EDGES.names
    )
    return live.ordinals[components(len(live.ordinals), newer, older)]


def _rows(live: Live, ids: Int64, heads: Int64, generation: int) -> pa.Table:
    n = len(ids)
    head_ids = [live.pin_ids[i] for i in np.searchsorted(live.ordinals, heads).tolist()]
    columns = [
        pa.array(live.pin_ids, pa.string()),
        pa.array(live.ordinals),
        pa.array(ids),
        pa.array(head_ids, pa.string()),
        pa.array(heads),
        pa.array(np.full(n, generation, np.int64)),
        pa.array(np.full(n, live.through, np.int64)),
    ]
    return pa.Table.from_arrays(columns, schema=CLUSTERS.schema)


def _write(spark: SparkSession, lake: Lake, rows: pa.Table) -> None:
    if len(rows):
        frame = spark.createDataFrame(rows).coalesce(1)
        frame.write.format("delta").mode("append").save(str(lake.path / CLUSTERS.name))


def publish_or_wait(lake: Lake, evidence: Evidence, wait_seconds: float) -> None:
    """Publish what is prepared here if no stream runs, else wait until the stream has done so."""
    deadline = time.monotonic() + wait_seconds
    while (prepared := prepared_generation(lake)) is not None:
        try:
            with lake.lease("stream"), tempfile.TemporaryDirectory(prefix="neardup-") as directory:
                publish(lake, prepared, evidence, load_store(lake, PinStore(Path(directory))))
        except StreamError:
            if time.monotonic() > deadline:
                raise StreamError(
                    f"Generation {prepared['generation']} is prepared, but the running stream did "
                    f"not publish it in {wait_seconds:.0f} s: look at the stream's log. It will be "
                    "published by the next `neardup compact`, or when the stream recovers."
                ) from None
            time.sleep(POLL_SECONDS)
