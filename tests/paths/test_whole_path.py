"""Real Kafka, real Spark, real TensorFlow, real Delta: the way of pins from event to answer."""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from neardup.answers.lookup import lookup
from neardup.answers.report import write_report
from neardup.answers.show import cluster_of, members
from neardup.batch.compact import compact
from neardup.infra.kafka import Broker
from neardup.infra.spark import spark_session
from neardup.infra.topics import create_topic, delete_topic
from neardup.models.classifier import Classifier
from neardup.models.embed import open_embedder
from neardup.schemas.errors import StreamError
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings, load_settings
from neardup.schemas.tables import TABLES
from neardup.schemas.views import VIEWS
from neardup.streaming import microbatch
from neardup.streaming.candidates import SearchPlan
from neardup.streaming.consumer import Consumer
from neardup.streaming.microbatch import BatchReport, MicroBatch
from neardup.streaming.produce import PinProducer
from tests.paths.pictures import (
    bad,
    copies,
    encoded,
    event,
    odd,
    photos,
    with_embedding,
    with_image,
)

pytestmark = pytest.mark.path

FLUSH_PINS = 16


@dataclass
class System:
    """A lake and a topic of its own on the shared broker."""

    broker: Broker
    folder: Path
    topic: str
    reports: list[BatchReport] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return load_settings(
            None,
            kafka={"bootstrap_servers": self.broker.bootstrap, "topic": self.topic},
            lake={"path": self.folder / "lake"},
            events={"allowed_roots": (self.folder / "roots",)},
            stream={"flush_pins": FLUSH_PINS, "max_events_per_batch": 40, "thumbnail_px": 64},
        )

    @property
    def lake(self) -> Lake:
        return Lake(self.folder / "lake")

    def send(self, *events: tuple[bytes | None, bytes | None]) -> None:
        with PinProducer(self.broker.bootstrap, self.topic) as producer:
            for key, value in events:
                producer.send_raw(key, value)

    def drain(self) -> None:
        Consumer(self.settings, self.reports.append).run(once=True)

    def clusters(self) -> dict[str, int]:
        return {
            row["pin_id"]: row["cluster_id"]
            for row in self.lake.rows("SELECT pin_id, cluster_id FROM clusters_current")
        }


@pytest.fixture
def system(broker: Broker, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[System]:
    yield new_system(broker, tmp_path, request.node.name)


def new_system(broker: Broker, folder: Path, name: str) -> System:
    topic = "".join(c if c.isalnum() else "-" for c in name)
    create_topic(broker.bootstrap, topic, 3)
    (folder / "roots").mkdir()
    return System(broker, folder, topic)


def drained(broker: Broker, folder: Path, name: str, events: Sequence[Any]) -> System:
    """A new system that has taken these events in."""
    system = new_system(broker, folder, name)
    system.send(*events)
    system.drain()
    return system


def family_events(n: int) -> tuple[list[tuple[bytes, bytes]], dict[str, str]]:
    """Photos and three mild copies each, as events, and pin id -> photo."""
    events, truth = [], {}
    for seed, (name, picture) in enumerate(photos(n).items()):
        for kind, image in {"original": picture, **copies(picture, seed)}.items():
            pin_id = f"{name}/{kind}"
            events.append(with_image(pin_id, encoded(image)))
            truth[pin_id] = name
    return events, truth


@pytest.fixture(scope="module")
def whole(
    broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> tuple[System, dict[str, str]]:
    """12 photos with copies, odd forms, every bad event, repeats and deletes: drained once."""
    system = new_system(broker, tmp_path_factory.mktemp("whole"), "whole")
    events, truth = family_events(12)
    name, picture = next(iter(photos(1).items()))
    extra = [with_image(form, data) for form, data in odd(picture).items()]
    embedder = open_embedder("mobilenet_v1")
    vector = embedder.embed([picture])[0]
    extra.append(with_embedding("by-embedding", vector, embedder.name))
    (system.folder / "roots" / "by uri.jpg").write_bytes(encoded(picture))
    extra.append(event("by-uri", image_uri=(system.folder / "roots" / "by uri.jpg").as_uri()))
    for pin_id in ("by-embedding", "by-uri", *odd(picture)):
        truth[pin_id] = name
    spoilt = bad(picture, system.folder / "roots", embedder.dim, embedder.name)
    system.send(*events, *[(key, value) for key, value, _ in spoilt.values()], *extra)
    system.send(events[0], events[0], (b"unknown", None), (None, b"{}"))
    system.drain()
    return system, truth


def test_every_event_is_accounted_for_once(whole: tuple[System, dict[str, str]]) -> None:
    system, truth = whole
    positions = system.lake.rows(
        """SELECT partition, "offset" FROM pins
        UNION ALL SELECT partition, "offset" FROM quarantine"""
    )
    where = sorted((row["partition"], row["offset"]) for row in positions)
    for partition in range(3):
        offsets = [offset for p, offset in where if p == partition]
        assert offsets == list(range(len(offsets)))
    assert len(where) == len(truth) + 19 + 4
    ordinals = system.lake.read("pins", ["ordinal"])["ordinal"].drop_null().to_pylist()
    assert sorted(ordinals) == list(range(len(truth)))


def test_each_bad_event_has_its_reason(whole: tuple[System, dict[str, str]]) -> None:
    system, _ = whole
    picture = next(iter(photos(1).values()))
    (system.folder / "roots" / "link.jpg").unlink()
    spoilt = bad(picture, system.folder / "roots", 1024, "mobilenet_v1")
    expected = {key: reason for key, _, reason in spoilt.values()}
    found = {row["key"]: row for row in system.lake.rows("SELECT * FROM quarantine")}
    assert {key: row["reason"] for key, row in found.items()} == expected | {None: "missing_key"}
    assert len(found[b"large"]["value"]) > 5_000_000, "what was refused is kept, whole"


def test_repeats_and_unknown_deletes_change_nothing(whole: tuple[System, dict[str, str]]) -> None:
    system, _ = whole
    kinds = system.lake.rows("SELECT kind, count(*) AS n FROM pins GROUP BY kind")
    assert {row["kind"]: row["n"] for row in kinds if row["kind"] != "add"} == {
        "repeat": 2,
        "delete": 1,
    }


def test_copies_share_a_cluster_and_others_do_not(whole: tuple[System, dict[str, str]]) -> None:
    system, truth = whole
    found = system.clusters()
    assert set(found) == set(truth)
    wrong = [
        (a, b)
        for a in truth
        for b in truth
        if a < b and (found[a] == found[b]) != (truth[a] == truth[b]) and "sixteen" not in a + b
    ]
    assert wrong == []


def test_segments_were_written_and_searched(whole: tuple[System, dict[str, str]]) -> None:
    """Links lead from pins of later batches into pins that are only in a segment by then."""
    system, _ = whole
    ends = system.lake.rows("SELECT DISTINCT first_ordinal, end_ordinal FROM segments")
    assert sorted((row["first_ordinal"], row["end_ordinal"]) for row in ends) == [
        (first, first + FLUSH_PINS) for first in range(0, 48, FLUSH_PINS)
    ]
    assert len(system.reports) > 1
    assert sum((report.cache for report in system.reports), Counter())["hit"] > 0
    flushed = system.lake.rows(
        """SELECT count(*) AS n FROM pins p, unnest(p.links) AS l(link)
        JOIN pins older ON older.ordinal = l.link.ordinal
        WHERE older.batch_seq < p.batch_seq"""
    )
    assert flushed[0]["n"] > 0


def test_answers(whole: tuple[System, dict[str, str]]) -> None:
    system, truth = whole
    name, picture = next(iter(photos(1).items()))
    matches = lookup(system.settings, encoded(picture.resize((200, 150)), quality=60))
    assert {m.pin_id for m in matches if m.duplicate} >= {f"{name}/original", "by-uri"}
    assert all(truth[m.pin_id] == name for m in matches if m.duplicate)
    cluster = cluster_of(system.lake, f"{name}/original")
    assert cluster == cluster_of(system.lake, str(cluster))
    shown = members(system.lake, Classifier.load(), cluster, 100)
    assert {pin["pin_id"] for pin in shown} == {
        p for p, c in system.clusters().items() if c == cluster
    }
    assert sum(pin["is_head"] for pin in shown) == 1
    page = system.folder / "report.html"
    write_report(system.lake, Classifier.load(), page)
    text = page.read_text("utf-8")
    assert f"cluster {cluster}" in text and "data:image/jpeg;base64," in text
    assert "<code>too_many_pixels</code>" in text and "http://" not in text.replace(
        "http://127", ""
    )


def test_the_turned_picture_is_stored_upright(whole: tuple[System, dict[str, str]]) -> None:
    system, _ = whole
    (row,) = system.lake.rows("SELECT width, height FROM pins WHERE pin_id = 'turned.jpg'")
    assert (row["width"], row["height"]) == (160, 120)


def contents(lake: Lake) -> dict[str, list[Any]]:
    """Every published row, sorted; without the times at which generations were written."""
    tables = {}
    for name in TABLES:
        rows = lake.read(name).to_pylist()
        for row in rows:
            row.pop("written_at", None)
        tables[name] = sorted(repr(sorted(row.items(), key=lambda item: item[0])) for row in rows)
    return tables


class Crash(Exception):
    """What stands for the end of the process."""


CRASHES = {
    "before pins": ("pins", False),
    "after pins": ("pins", True),
    "before clusters": ("clusters", False),
    "after clusters": ("clusters", True),
    "before a segment": ("segments", False),
    "after quarantine": ("quarantine", True),
}


def crashing_append(append: Any, table: str, after: bool, crashed: list[str]) -> Any:
    """``Lake.append`` that dies at a table's first commit, before or after it is made."""

    def crashing(lake: Lake, name: str, rows: Any) -> None:
        if name == table and not after:
            crashed.append(name)
            raise Crash
        append(lake, name, rows)
        if name == table:
            crashed.append(name)
            raise Crash

    return crashing


def test_a_crash_at_any_commit_leaves_no_trace(
    broker: Broker, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Crashed at each commit in turn and restarted, the tables are those of an undisturbed run."""
    events, _ = family_events(8)
    stream = [*events[:20], (b"x", b"{"), *events[20:], (events[3][0], None), events[1]]
    calm = drained(broker, tmp_path_factory.mktemp("calm"), "calm", stream)
    rough = System(broker, tmp_path_factory.mktemp("rough"), calm.topic)
    append = Lake.append
    for place, (table, after) in CRASHES.items():
        crashed: list[str] = []
        with monkeypatch.context() as patched:
            patched.setattr(Lake, "append", crashing_append(append, table, after, crashed))
            try:
                rough.drain()
            except (StreamError, Crash):
                assert crashed == [table], place
    rough.drain()
    assert contents(rough.lake) == contents(calm.lake)


def test_executors_find_what_the_driver_finds(
    broker: Broker, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches that one task could search are searched here; large ones by the executors."""
    events, _ = family_events(14)
    here = drained(broker, tmp_path_factory.mktemp("here"), "here", events)
    there = System(broker, tmp_path_factory.mktemp("there"), here.topic)
    searched: list[int] = []
    on_executors = MicroBatch._on_executors

    def watched(batch: MicroBatch, plan: SearchPlan) -> pa.Table:
        searched.append(len(plan.queries))
        return on_executors(batch, plan)

    monkeypatch.setattr(MicroBatch, "_on_executors", watched)
    monkeypatch.setattr(microbatch, "SEARCHES_PER_TASK", 1)  # every batch is large
    there.drain()
    assert sum(searched) > 0
    assert contents(there.lake) == contents(here.lake)


def test_a_lost_checkpoint_is_no_loss(system: System) -> None:
    events, truth = family_events(4)
    system.send(*events[:10])
    system.drain()
    shutil.rmtree(system.settings.checkpoint)
    system.send(*events[10:])
    system.drain()
    assert set(system.clusters()) == set(truth)
    assert system.lake.dataset("pins").count_rows() == len(truth)


def test_a_topic_made_anew_is_noticed(system: System) -> None:
    events, _ = family_events(1)
    system.send(*events)
    system.drain()
    delete_topic(system.broker.bootstrap, system.topic)
    create_topic(system.broker.bootstrap, system.topic, 3)
    with pytest.raises(StreamError, match="was re-created"):
        system.drain()


def test_two_streams_on_one_lake_are_refused(system: System) -> None:
    lake = Lake.create(system.settings.lake.path)
    with lake.lease("stream"), pytest.raises(StreamError, match="Another process runs"):
        system.drain()


def test_new_versions_and_deletes(system: System) -> None:
    one, other = photos(2).values()
    system.send(with_image("a", encoded(one)), with_image("b", encoded(one, quality=70)))
    system.send(with_image("c", encoded(other)))
    system.drain()
    before = system.clusters()
    assert before["a"] == before["b"] != before["c"]
    system.send(with_image("a", encoded(other, quality=70)), (b"b", None))
    system.drain()
    after = system.clusters()
    assert set(after) == {"a", "c"}
    assert after["a"] == after["c"] == before["c"]


def test_compaction_publishes_and_the_stream_goes_on(system: System) -> None:
    events, truth = family_events(6)
    system.send(*events[:16])
    system.drain()
    before = system.clusters()
    spark = spark_session(system.settings.spark, "test")
    figures = compact(spark, system.settings)
    for name in TABLES:
        spark.read.format("delta").load(str(system.lake.path / name)).createOrReplaceTempView(name)
    for name, query in VIEWS.items():
        spark.sql(query).createOrReplaceTempView(name)
    through_spark = {
        row["pin_id"]: row["cluster_id"]
        for row in spark.sql("SELECT pin_id, cluster_id FROM clusters_current").collect()
    }
    spark.stop()
    assert figures["generation"] == system.lake.current_generation() == 1
    assert figures["pins"] == 16
    assert system.clusters() == before == through_spark, "nothing to correct, and ids are kept"
    system.send(*events[16:])
    system.drain()
    found = system.clusters()
    assert {pin: found[pin] for pin in before} == before
    assert set(found) == set(truth)
    groups = {(found[pin], name) for pin, name in truth.items()}
    assert len(groups) == len({name for name in truth.values()}) == len(set(found.values()))


def test_an_event_from_ten_lines_of_kafka_python(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example of docs/events.md, run as it stands."""
    page = (Path(__file__).parents[2] / "docs" / "events.md").read_text("utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    code = code.replace("127.0.0.1:9092", system.broker.bootstrap).replace(
        '"pins"', repr(system.topic)
    )
    monkeypatch.chdir(system.folder)
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save("picture.jpg")
    exec(code, {})  # noqa: S102
    system.drain()
    assert set(system.clusters()) == {"my-first-pin"}
