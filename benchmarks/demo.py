"""`neardup demo`: photos and edited copies of them travel through the real system.

The truth is known, because the copies are made here. The stream and the compaction run as
processes of their own, just as an operator would run them; this one produces, watches the
`clusters` table as any reader could, and adds up.
"""

import io
import json
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PIL import Image
from tqdm import tqdm

from neardup.answers.report import write_report
from neardup.benchmarks.memory import PeakMemory
from neardup.benchmarks.processes import NEARDUP, python_process
from neardup.benchmarks.watch import Watcher
from neardup.clusters.quality import agreement
from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic
from neardup.models.classifier import Classifier
from neardup.models.edits import edit
from neardup.models.embed import open_embedder
from neardup.models.images import decode
from neardup.schemas.errors import NeardupError, StreamError
from neardup.schemas.events import PinEvent, encode_embedding
from neardup.schemas.lake import Lake
from neardup.streaming.produce import PinProducer, paced

EDITS = {
    "resize": 0.5,
    "crop": 0.2,
    "recompress": 0.6,
    "colour": 0.4,
    "caption": 0.4,
    "border": 0.4,
    "rotate": 0.2,
    "flip": 1.0,
}
"""The edits of the demo and their strengths, 0 to 1 (``neardup.models.edits``)."""

SETTINGS = """\
# Written by `neardup demo`. Try: neardup lookup IMAGE --config {path}
[lake]
path = "lake"

[kafka]
bootstrap_servers = "{bootstrap}"
topic = "pins"

[stream]
thumbnail_px = 96
flush_pins = 512          # small, so that a demo fills a few segments
maintenance_seconds = 10.0
"""

SPOILT = {
    "not-json": b"{this is no JSON",
    "no-date": b'{"pin_id": "no-date", "image": "aGVsbG8="}',
    "no-picture": b'{"pin_id": "no-picture", "created_at": "2026-01-01T00:00:00Z"}',
    "text": b'{"pin_id": "text", "created_at": "2026-01-01T00:00:00Z", "image": "aGVsbG8="}',
}
"""Events that belong in quarantine: bad ones must cost only themselves."""

DRAIN_SECONDS = 300.0


@dataclass(frozen=True)
class DemoPlan:
    """What to send and where to write; ``rate`` in events a second."""

    photos: Path
    out: Path
    rate: float
    carry: str
    copies: int
    seed: int


def run_demo(plan: DemoPlan) -> dict[str, Any]:
    """Run it, print and write the summary; ``report.html`` and ``summary.json`` in ``plan.out``."""
    run = plan.out / "run"
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    events = make_events(plan)
    with PeakMemory() as memory, Broker(run / "kafka") as broker:
        create_topic(broker.bootstrap, "pins", 4)
        config = run / "neardup.toml"
        config.write_text(SETTINGS.format(path=config, bootstrap=broker.bootstrap), "utf-8")
        with python_process([*NEARDUP, "stream", "--config", str(config)], run / "stream.log"):
            watched = send_and_watch(plan, events, broker.bootstrap, run / "lake")
            print("compacting: the k-cut over all of it, published by the running stream")
            neardup("compact", "--config", str(config), log=run / "compact.log")
    lake = Lake(run / "lake")
    write_report(lake, Classifier.load(), plan.out / "report.html")
    summary = {
        **watched,
        **count(lake, [event.pin_id for event in events]),
        "peak_memory_gib": round(memory.peak / 2**30, 2),
        "carry": plan.carry,
        "seed": plan.seed,
    }
    (plan.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
    print_summary(plan, summary, config)
    return summary


def make_events(plan: DemoPlan) -> list[PinEvent]:
    """Every photo and its edited copies, shuffled; a pin id is ``photo/edit``."""
    paths = sorted(plan.photos.glob("*.jpg"))
    if not paths:
        raise NeardupError(f"There are no .jpg files in {plan.photos}: give --photos a folder.")
    rng = np.random.default_rng(plan.seed)
    names = list(EDITS)
    pictures: list[tuple[str, Image.Image]] = []
    for path in tqdm(paths, desc="editing", unit=" photos"):
        original = decode(path.read_bytes())
        pictures.append((f"{path.stem}/original", original))
        for name in rng.permutation(names)[: plan.copies].tolist():
            pictures.append((f"{path.stem}/{name}", edit(original, name, EDITS[name], rng)))
    order = rng.permutation(len(pictures))
    carried = _carrier(plan.carry)
    now = datetime.now(UTC)
    return [
        PinEvent(pin_id=pictures[i][0], created_at=now, source="demo", **carried(pictures[i][1]))
        for i in tqdm(order, desc=f"as {plan.carry}", unit=" pins")
    ]


def _carrier(carry: str) -> Any:
    if carry == "image":
        return lambda picture: {"image": _jpeg(picture)}
    embedder = open_embedder("mobilenet_v1")
    return lambda picture: {
        "embedding": encode_embedding(embedder.name, embedder.embed([picture])[0])
    }


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def neardup(*arguments: str, log: Path) -> None:
    """Run a command of ours to its end; its output goes to ``log``."""
    with log.open("wb") as file:
        done = subprocess.run([sys.executable, *NEARDUP, *arguments], stdout=file, stderr=file)
    if done.returncode:
        lines = "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-15:])
        raise NeardupError(f"`neardup {arguments[0]}` failed; the end of {log}:\n{lines}")


def send_and_watch(
    plan: DemoPlan, events: list[PinEvent], bootstrap: str, lake: Path
) -> dict[str, Any]:
    """Send everything at the steady rate; wait until it is all visible; how long that took."""
    sent: dict[str, float] = {}
    stop = threading.Event()
    begin = time.monotonic()
    with Watcher(lake / "clusters") as watcher:
        sender = threading.Thread(target=_send, args=(plan, events, bootstrap, sent, stop))
        sender.start()
        try:
            with tqdm(total=len(events), desc="visible", unit=" pins") as bar:
                while len(watcher.seen) < len(events):
                    bar.set_postfix_str(f"lag {max(0, len(sent) - len(watcher.seen))}", False)
                    bar.update(len(watcher.seen) - bar.n)
                    if time.monotonic() - begin > len(events) / plan.rate + DRAIN_SECONDS:
                        missing = len(events) - len(watcher.seen)
                        raise StreamError(f"{missing} pins are not visible after a long wait.")
                    time.sleep(0.1)
                bar.update(len(events) - bar.n)
        finally:
            stop.set()
            sender.join()
    seconds = np.array([watcher.seen[pin] - sent[pin] for pin in sent])
    return {
        "events_per_second": round(len(events) / (max(watcher.seen.values()) - begin), 1),
        "p50_seconds": round(float(np.percentile(seconds, 50)), 3),
        "p95_seconds": round(float(np.percentile(seconds, 95)), 3),
    }


def _send(
    plan: DemoPlan,
    events: list[PinEvent],
    bootstrap: str,
    sent: dict[str, float],
    stop: threading.Event,
) -> None:
    with PinProducer(bootstrap, "pins") as producer:
        for key, value in SPOILT.items():
            producer.send_raw(key.encode(), value)
        for event in paced(events, plan.rate):
            if stop.is_set():
                return
            sent[event.pin_id] = time.monotonic()
            producer.send(msgspec.structs.replace(event, created_at=datetime.now(UTC)))


def count(lake: Lake, pin_ids: list[str]) -> dict[str, Any]:
    """What the tables hold, and how well the clusters agree with the known truth."""
    rows = lake.sql("SELECT pin_id, cluster_id FROM clusters_current")
    found = dict(zip(rows["pin_id"].to_pylist(), rows["cluster_id"].to_pylist(), strict=True))
    photos = {photo: n for n, photo in enumerate({pin.split("/")[0] for pin in pin_ids})}
    labels = np.array([found.get(pin, -1 - n) for n, pin in enumerate(pin_ids)])
    truth = np.array([photos[pin.split("/")[0]] for pin in pin_ids])
    measured = agreement(labels, truth)
    return {
        "events": lake.dataset("pins").count_rows() + lake.dataset("quarantine").count_rows(),
        "quarantined": lake.dataset("quarantine").count_rows(),
        "clusters": len(set(found.values())),
        "pair_precision": round(measured.pair_precision, 4),
        "pair_recall": round(measured.pair_recall, 4),
        "generation": lake.current_generation(),
    }


def print_summary(plan: DemoPlan, summary: dict[str, Any], config: Path) -> None:
    """The figures, and what to try next."""
    for name, value in summary.items():
        print(f"  {name:<18} {value}")
    print(f"report:  {plan.out / 'report.html'}\nsummary: {plan.out / 'summary.json'}")
    photo = next(iter(sorted(plan.photos.glob("*.jpg"))))
    print(f"try:     .venv/bin/neardup lookup {photo} --config {config}")
