"""Compactions with real Spark, beside a real stream: `neardup compact` and `neardup rollback`."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pyspark.sql import SparkSession

from neardup.batch.compact import compact
from neardup.batch.publishing import rollback
from neardup.batch.sharing import OnSpark
from neardup.cli.main import cli
from neardup.clusters.compaction import prepare
from neardup.clusters.generations import prepared_generation
from neardup.clusters.work import Here
from neardup.infra.kafka import Broker
from neardup.infra.spark import spark_session
from neardup.infra.topics import create_topic
from neardup.schemas.errors import CompactionError, StreamError
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings, load_settings
from neardup.schemas.tables import TABLES
from neardup.schemas.views import VIEWS
from neardup.streaming.consumer import Consumer
from neardup.streaming.produce import PinProducer
from tests.paths.pictures import copies, encoded, photos, with_image
from tests.worlds import CURRENT, World, recipe

pytestmark = pytest.mark.path


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    session = spark_session(load_settings(None).spark, "test")
    yield session
    session.stop()


def generation_rows(lake: Lake, generation: int) -> list[dict[str, Any]]:
    return lake.rows(
        "SELECT * FROM clusters WHERE generation = $g ORDER BY ordinal", {"g": generation}
    )


def test_one_partition_or_seven_give_the_rows_of_this_process(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neardup.batch.executors.BUCKET_PINS", 5)
    world = World(tmp_path, 11)
    for _ in range(4):
        world.events(25)
    before = len(generation_rows(world.lake, 0))
    found = []
    for work in (OnSpark(spark, world.lake), Here(world.lake)):
        for files in (1, 7) if isinstance(work, OnSpark) else (1,):
            spark.conf.set("spark.sql.files.maxPartitionBytes", 2**20 if files == 1 else 2_000)
            spark.conf.set("spark.sql.files.openCostInBytes", 2**22 if files == 1 else 1)
            outcome = prepare(world.lake, recipe(), work)
            assert outcome is not None
            found.append(generation_rows(world.lake, 1))
            world.lake.table("clusters").delete("generation = 1")
            world.lake.table("generations").delete("generation = 1")
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == len(world.live) < before


def test_views_in_spark_and_duckdb_agree(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neardup.clusters.compaction.ROWS_A_PIN", 1e9)
    world = World(tmp_path, 12)
    world.events(30)
    world.compact()
    world.events(10)
    world.compact()
    files = [Path(uri) for uri in world.lake.table("clusters").file_uris()]
    assert any(file.stat().st_nlink > 1 for file in files), "nothing was carried over"
    world.events(10)
    for name in TABLES:
        path = str(world.lake.path / name)
        spark.read.format("delta").load(path).createOrReplaceTempView(name)
    for name, query in VIEWS.items():
        spark.sql(query).createOrReplaceTempView(name)
    for name in VIEWS:
        ours = world.lake.sql(f"SELECT * FROM {name}").to_pylist()
        theirs = [row.asDict() for row in spark.sql(f"SELECT * FROM {name}").collect()]
        assert sorted(map(str, ours)) == sorted(map(str, theirs)), name


@pytest.fixture
def streaming(broker: Broker, tmp_path: Path) -> Settings:
    create_topic(broker.bootstrap, "compacted", 2)
    Lake.create(tmp_path / "lake")
    return load_settings(
        None,
        kafka={"bootstrap_servers": broker.bootstrap, "topic": "compacted"},
        lake={"path": tmp_path / "lake"},
        stream={"max_events_per_batch": 20},
    )


def test_a_generation_is_published_and_rolled_back_beside_a_running_stream(
    streaming: Settings,
) -> None:
    events = [
        with_image(f"{name}/{kind}", encoded(image))
        for seed, (name, picture) in enumerate(photos(5).items())
        for kind, image in {"original": picture, **copies(picture, seed)}.items()
    ]
    consumer = Consumer(streaming)
    thread = threading.Thread(target=consumer.run)
    thread.start()
    try:
        send(streaming, events[:12])
        wait_for(lambda: pins(streaming) == 12)
        assert compact(None, streaming)["generation"] == 1
        lake = Lake(streaming.lake.path)
        assert lake.current_generation() == 1
        with lake.lease("compact"), pytest.raises(StreamError, match="neardup compact"):
            compact(None, streaming)
        send(streaming, events[12:])
        wait_for(lambda: pins(streaming) == len(events))
        after = grouped(lake)
        assert {row["generation"] for row in lake.rows(CURRENT)} == {1}
        rollback(streaming, 0)
        assert lake.current_generation() == 0
        assert grouped(lake) == after
        with pytest.raises(CompactionError, match="is the current one"):
            rollback(streaming, 0)
    finally:
        consumer.stop()
        thread.join()
    assert compact(None, streaming)["generation"] == 2
    assert grouped(lake) == after


def grouped(lake: Lake) -> set[tuple[str, ...]]:
    rows = lake.rows(
        "SELECT list_sort(list(pin_id)) AS pins FROM clusters_current GROUP BY cluster_id"
    )
    return {tuple(row["pins"]) for row in rows}


def pins(settings: Settings) -> int:
    return len(Lake(settings.lake.path).rows(CURRENT))


def send(settings: Settings, events: list[tuple[bytes, bytes]]) -> None:
    with PinProducer(settings.kafka.bootstrap_servers, settings.kafka.topic) as producer:
        for key, value in events:
            producer.send_raw(key, value)


def wait_for(done: Any, seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.3)


def test_the_command_asks_before_it_moves_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neardup.clusters.compaction.FEW", 0)
    world = World(tmp_path, 13)
    world.events(30)
    left = world.lake.read("clusters").to_pylist()
    world.lake.table("clusters").delete()  # and now everyone is alone
    for row in left:
        if row["cluster_id"] is not None:
            row["cluster_id"] = row["head_ordinal"] = row["ordinal"]
            row["head"] = row["pin_id"]
    world.lake.append_rows("clusters", left)
    config = tmp_path / "neardup.toml"
    config.write_text(f'[lake]\npath = "{world.lake.path}"\n', "utf-8")
    refused = CliRunner().invoke(cli, ["compact", "--config", str(config)])
    assert isinstance(refused.exception, CompactionError)
    assert "--force" in str(refused.exception) and prepared_generation(world.lake) is None
    forced = CliRunner().invoke(cli, ["compact", "--config", str(config), "--force"])
    assert forced.exit_code == 0 and '"generation": 1' in forced.output
    back = CliRunner().invoke(cli, ["rollback", "0", "--config", str(config)])
    assert back.exit_code == 0 and world.lake.current_generation() == 0
