"""A corpus brought in by `neardup backfill` is the corpus streamed, whatever cuts it off."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from neardup.cli.main import cli
from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic
from neardup.models.embed import open_embedder
from neardup.schemas.errors import LakeError, StreamError
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings, load_settings
from neardup.streaming.backfill import Backfill
from neardup.streaming.consumer import Consumer
from neardup.streaming.produce import PinProducer
from tests.paths.pictures import copies, encoded, photos, with_embedding, with_image

pytestmark = pytest.mark.path

FLUSH_PINS = 64
PHOTOS = 60
MODEL = "mobilenet_v1"
Vectors = dict[str, "np.ndarray[Any, Any]"]


@cache
def corpus() -> Vectors:
    """Photos and three mild copies of each, 240 pins, shuffled; pin ids begin with the photo's."""
    embedder = open_embedder(MODEL)
    pictures = {
        f"{name}/{kind}": picture
        for seed, (name, photo) in enumerate(photos(PHOTOS).items())
        for kind, picture in {"original": photo, **copies(photo, seed)}.items()
    }
    order = np.random.default_rng(5).permutation(sorted(pictures)).tolist()
    return {pin: embedder.embed([pictures[pin]])[0] for pin in order}


def settings(folder: Path, **kafka: str) -> Settings:
    return load_settings(
        None,
        lake={"path": folder / "lake"},
        kafka=kafka,
        stream={"flush_pins": FLUSH_PINS, "max_events_per_batch": 37},
    )


def written(path: Path, rows: Vectors, row_group_size: int = 50) -> Path:
    vectors = pa.array(list(rows.values()), pa.list_(pa.float32()))
    table = pa.table({"pin_id": list(rows), "embedding": vectors})
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


def decided(lake: Path) -> int:
    try:
        return Lake(lake).dataset("pins").count_rows()
    except LakeError:  # not made yet
        return 0


def wait_for(what: str, log: Path, check: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"no {what}:\n{log.read_text('utf-8')[-3000:]}"
        time.sleep(0.02)


def killed_midway(folder: Path, path: Path, rows: int) -> int:
    """Start the command in batches of 20 rows, kill it after a few; how many rows it decided."""
    config, log = folder / "neardup.toml", folder / "log"
    config.write_text(f'[lake]\npath = "lake"\n[stream]\nflush_pins = {FLUSH_PINS}\n', "utf-8")
    command = ["backfill", str(path), "--config", str(config), "--batch-rows", "20"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "neardup.cli.main", *command],
            stderr=file,
            stdout=file,
            env=os.environ,
        )
    wait_for("pins", log, lambda: decided(folder / "lake") >= 60)
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=60) == -signal.SIGKILL, "it ended before it was killed"
    done = decided(folder / "lake")
    assert 0 < done < rows
    text = log.read_text("utf-8")
    assert f"/{rows}" in text and "rows/s" in text, "a bar with a rate on standard error"
    return done


def facts(lake: Lake) -> tuple[Any, ...]:
    """Pins with their exemplars and links, memberships, and how far segments go."""
    pins = lake.rows("SELECT ordinal, pin_id, exemplar, links FROM pins ORDER BY ordinal")
    clusters = lake.rows("SELECT pin_id, cluster_id, head FROM clusters_current ORDER BY pin_id")
    return pins, clusters, lake.rows("SELECT max(end_ordinal) AS flushed FROM segments")


def test_a_killed_backfill_resumed_is_the_corpus_streamed_and_the_stream_goes_on(
    broker: Broker, tmp_path: Path
) -> None:
    rows = corpus()
    streamed, filled = tmp_path / "streamed", tmp_path / "filled"
    for folder in (streamed, filled):
        folder.mkdir()
    create_topic(broker.bootstrap, "corpus", 1)
    with PinProducer(broker.bootstrap, "corpus") as producer:
        for pin_id, vector in rows.items():
            producer.send_raw(*with_embedding(pin_id, vector, MODEL))
    kafka = {"bootstrap_servers": broker.bootstrap, "topic": "corpus"}
    Consumer(settings(streamed, **kafka)).run(once=True)

    path = written(tmp_path / "corpus.parquet", rows)
    done = killed_midway(filled, path, len(rows))
    totals = Backfill(settings(filled), path, batch_rows=71).run()
    assert (totals.before, totals.added) == (done, len(rows) - done)
    lake = Lake(filled / "lake")
    assert facts(lake) == facts(Lake(streamed / "lake"))
    found = {row["pin_id"]: row["cluster_id"] for row in lake.rows("FROM clusters_current")}
    # Without looks a link must score higher to hold a cluster together (evidence.UNSEEN).
    assert len(set(found.values())) <= 1.15 * PHOTOS, "copies were found"

    again = Backfill(settings(filled), path).run()
    assert (again.before, again.added) == (len(rows), 0)
    assert decided(lake.path) == len(rows), "nothing is decided twice"

    create_topic(broker.bootstrap, "afterwards", 2)
    name, photo = next(iter(photos(1).items()))
    with PinProducer(broker.bootstrap, "afterwards") as producer:
        producer.send_raw(*with_image("new", encoded(photo, quality=60)))
    kafka["topic"] = "afterwards"
    Consumer(settings(filled, **kafka)).run(once=True)
    after = {row["pin_id"]: row["cluster_id"] for row in lake.rows("FROM clusters_current")}
    assert after["new"] == after[f"{name}/original"]
    assert {pin: after[pin] for pin in found} == found

    more = written(tmp_path / "more.parquet", {"newer": rows[f"{name}/original"]})
    assert Backfill(settings(filled), more).run().links > 0, "a backfill after a stream"


def test_a_corpus_that_changed_meanwhile_is_noticed(tmp_path: Path) -> None:
    rows = dict(list(corpus().items())[:30])
    path = written(tmp_path / "corpus.parquet", rows)
    stopped = Backfill(settings(tmp_path), path, batch_rows=10)
    stopped.stop()
    with pytest.raises(StreamError, match="Stopped after 0 of 30 rows"):
        stopped.run()
    written(path, {**rows, "one more": next(iter(rows.values()))})
    with pytest.raises(StreamError, match="changed since its backfill was cut off"):
        Backfill(settings(tmp_path), path).run()
    assert Backfill(settings(tmp_path), path).run(restart=True).added == 31
    written(path, rows)
    kinds = Backfill(settings(tmp_path), path).run()
    assert kinds.added == 0, "it had ended, so another corpus at its place is just another one"
    found = Lake(tmp_path / "lake").rows("SELECT kind, count(*) AS n FROM pins GROUP BY kind")
    assert {row["kind"]: row["n"] for row in found} == {"add": 31, "repeat": 30}


def test_a_last_batch_that_is_in_the_log_only_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off between the commits of `pins` and `clusters`: decided, but not done."""
    path = written(tmp_path / "corpus.parquet", dict(list(corpus().items())[:20]))
    append = Lake.append

    def crashing(lake: Lake, name: str, rows: pa.Table) -> None:
        if name == "clusters" and pc.max(rows["batch_seq"]).as_py() == 1:
            raise RuntimeError("cut off")
        append(lake, name, rows)

    with monkeypatch.context() as patched, pytest.raises(StreamError, match="cut off"):
        patched.setattr(Lake, "append", crashing)
        Backfill(settings(tmp_path), path, batch_rows=10).run()
    lake = Lake(tmp_path / "lake")
    assert decided(lake.path) == 20 and len(lake.rows("FROM clusters_current")) == 10
    again = Backfill(settings(tmp_path), path).run()
    assert (again.before, again.added) == (20, 0)
    assert len(lake.rows("FROM clusters_current")) == 20


def test_a_folder_of_pictures_and_what_cannot_be_used_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEARDUP_LAKE__PATH", str(tmp_path / "lake"))
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed, (name, photo) in enumerate(photos(5).items()):
        for kind, picture in {"original": photo, **copies(photo, seed)}.items():
            (folder / f"{name}-{kind}.jpg").write_bytes(encoded(picture))
    (folder / "cut.jpg").write_bytes(encoded(photo)[:500])
    for turn in range(2):
        ran = CliRunner().invoke(cli, ["backfill", str(folder), "--batch-rows", "8"])
        assert ran.exit_code == 0, ran.output
        before, added = ((0, 20), (21, 0))[turn]
        assert f"21 rows of {folder}, {before} of them decided before" in ran.output
        assert f"{added} pins added" in ran.output
    lake = Lake(tmp_path / "lake")
    clusters = lake.rows("FROM clusters_current")
    assert len(clusters) == 20 and len({row["cluster_id"] for row in clusters}) == 5
    (bad,) = lake.rows("SELECT reason, key FROM quarantine")
    assert (bad["reason"], bad["key"]) == ("truncated_image", b"cut.jpg")
