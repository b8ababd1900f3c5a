"""Precision and recall of the whole pipeline on a folder of pictures whose groups are known."""

import csv
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from neardup.batch.compact import compact
from neardup.benchmarks.system import local_system
from neardup.clusters.quality import agreement
from neardup.infra.spark import spark_session
from neardup.schemas.errors import NeardupError
from neardup.schemas.events import PinEvent
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings
from neardup.streaming.consumer import Consumer
from neardup.streaming.microbatch import BatchReport
from neardup.streaming.produce import PinProducer


def evaluate(images: Path, truth: Path, mode: str, seed: int | None) -> dict[str, Any]:
    """Send the pictures that ``truth`` names through broker, stream and tables; the figures.

    ``mode`` "stream": clusters as the stream left them; "batch": after a compaction. ``seed``:
    shuffles the order of arrival; None keeps the file's. A picture that was quarantined counts as
    a cluster of its own.
    """
    groups = read_truth(truth, images)
    files = list(groups)
    if seed is not None:
        files = [files[i] for i in np.random.default_rng(seed).permutation(len(files))]
    reports: list[BatchReport] = []
    with (
        tempfile.TemporaryDirectory(prefix="neardup-evaluate-") as directory,
        # One partition, so that the order of arrival is the order asked for.
        local_system(Path(directory), partitions=1) as settings,
    ):
        with PinProducer(settings.kafka.bootstrap_servers, settings.kafka.topic) as producer:
            for event in _events(images, files):
                producer.send(event)
        Consumer(settings, reports.append).run(once=True)
        if mode == "batch":
            _compact(settings)
        found = _clusters(Lake(settings.lake.path))
    return {**_quality(groups, found), **_work(reports), "mode": mode, "seed": seed}


def read_truth(path: Path, images: Path) -> dict[str, str]:
    """file -> group, of a CSV with these columns. Raises NeardupError with what is wrong."""
    with path.open(newline="", encoding="utf-8") as lines:
        rows = csv.DictReader(lines)
        if not {"file", "group"} <= set(rows.fieldnames or ()):
            raise NeardupError(f"{path} needs the columns file,group; it has {rows.fieldnames}.")
        groups = {row["file"]: row["group"] for row in rows}
    missing = [name for name in groups if not (images / name).is_file()]
    if missing:
        raise NeardupError(f"{len(missing)} files of {path} are not in {images}: {missing[0]} ...")
    return groups


def _events(images: Path, files: list[str]) -> Iterator[PinEvent]:
    for name in files:
        picture = (images / name).read_bytes()
        yield PinEvent(pin_id=name, created_at=datetime.now(UTC), image=picture)


def _compact(settings: Settings) -> None:
    spark = spark_session(settings.spark, "neardup-compact")
    try:
        compact(spark, settings)
    finally:
        spark.stop()


def _clusters(lake: Lake) -> dict[str, int]:
    rows = lake.sql("SELECT pin_id, cluster_id FROM clusters_current")
    return dict(zip(rows["pin_id"].to_pylist(), rows["cluster_id"].to_pylist(), strict=True))


def _quality(groups: dict[str, str], found: dict[str, int]) -> dict[str, Any]:
    names = {group: number for number, group in enumerate(dict.fromkeys(groups.values()))}
    truth = np.array([names[group] for group in groups.values()])
    labels = np.array([found.get(name, -1 - i) for i, name in enumerate(groups)])
    measured = agreement(labels, truth)
    return {
        "images": len(groups),
        "pair_precision": measured.pair_precision,
        "pair_recall": measured.pair_recall,
        "pair_f1": measured.pair_f1,
        "b3_precision": measured.b3_precision,
        "b3_recall": measured.b3_recall,
        "b3_f1": measured.b3_f1,
    }


def _work(reports: list[BatchReport]) -> dict[str, Any]:
    seconds: Counter[str] = Counter()
    for report in reports:
        seconds.update(report.seconds)
    scored = sum(report.candidates for report in reports)
    events = sum(report.events for report in reports)
    return {
        "quarantined": sum(report.quarantined for report in reports),
        "candidates_per_image": scored / max(events, 1),
        "pairs_scored": scored,
        "links": sum(report.links for report in reports),
        "seconds": dict(seconds),
    }
