"""Another classifier in a running stream, and a shadow beside it: real Kafka, Spark and Delta."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic
from neardup.models.classifier import Classifier
from neardup.models.hasher import Hasher
from neardup.models.registry import SHADOW, STREAM, Registry, classifier_of
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings, load_settings
from neardup.streaming.consumer import Consumer
from neardup.streaming.microbatch import BatchReport
from neardup.streaming.produce import PinProducer
from tests.classifiers import saved
from tests.paths.pictures import copies, encoded, photos, with_image

pytestmark = pytest.mark.path


@contextmanager
def streaming(settings: Settings, reports: list[BatchReport]) -> Iterator[Consumer]:
    consumer = Consumer(settings, reports.append)
    thread = threading.Thread(target=consumer.run)
    thread.start()
    try:
        yield consumer
    finally:
        consumer.stop()
        thread.join()


def wait_for(check: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120
    while not check():
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.05)


def test_a_swap_between_two_batches_and_a_shadow_without_effect(
    broker: Broker, tmp_path: Path
) -> None:
    create_topic(broker.bootstrap, "swap", 1)
    settings = load_settings(
        None,
        kafka={"bootstrap_servers": broker.bootstrap, "topic": "swap"},
        lake={"path": tmp_path / "lake"},
    )
    first, hasher = Classifier.load(), Hasher.load().version
    families = list(photos(6).items())
    reports: list[BatchReport] = []

    def send(number: int) -> None:
        """The families once more, as pins of other names."""
        with PinProducer(broker.bootstrap, "swap") as producer:
            for seed, (name, picture) in enumerate(families):
                for kind, image in {"original": picture, **copies(picture, seed)}.items():
                    producer.send_raw(*with_image(f"{number}/{name}/{kind}", encoded(image)))

    def sent_and_decided(number: int) -> None:
        before = sum(report.added for report in reports)
        send(number)
        wait_for(lambda: sum(r.added for r in reports) == before + 24, f"round {number}")

    with streaming(settings, reports) as consumer:
        sent_and_decided(0)
        lake = Lake(settings.lake.path)
        registry = Registry(lake)
        # One that links half of the pairs.
        stricter = float(np.median(links(lake)["score"])) - first.threshold
        second = registry.add(saved(tmp_path / "second.npz", stricter)).version
        registry.want(SHADOW, second, hasher)
        sent_and_decided(1)
        registry.want(STREAM, second, hasher)
        registry.want(SHADOW, first.version, hasher)
        sent_and_decided(2)
        damaged = registry.add(saved(tmp_path / "third.npz", 1.0)).version
        registry.want(STREAM, damaged, hasher)
        (registry.folder / f"{damaged}.npz").write_bytes(b"nothing")
        sent_and_decided(3)
        evidence = consumer._writer.batch.state.fold.evidence
        assert evidence.trusted == first.trusted + stricter, "clusters are folded by it too"

    used = lake.rows(
        """SELECT split_part(pin_id, '/', 1) AS round, model, count(*) AS n
        FROM pins WHERE kind = 'add' GROUP BY ALL ORDER BY round"""
    )
    models = [first.version, first.version, second, second]
    assert [(row["round"], row["model"], row["n"]) for row in used] == [
        (str(number), model, 24) for number, model in enumerate(models)
    ]
    uses = [(use["role"], use["version"]) for use in registry.uses()]
    assert uses[:2] == [(STREAM, first.version), (SHADOW, second)]
    assert sorted(uses[2:]) == [(SHADOW, first.version), (STREAM, second)]
    assert classifier_of(lake, settings).version == second

    least = links(lake).group_by("model").aggregate([("score", "min")]).to_pylist()
    lowest = {row["model"]: row["score_min"] for row in least}
    assert first.threshold <= lowest[first.version] < first.threshold + stricter <= lowest[second]
    _check_disagreements(lake, first, second, stricter)

    begun = len(reports)
    with streaming(settings, reports):
        sent_and_decided(4)
    rows = lake.rows("SELECT DISTINCT model FROM pins WHERE pin_id LIKE '4/%'")
    assert rows == [{"model": second}], "a restart uses the classifier in use"
    assert len(reports) > begun and len(registry.uses()) == 4


def links(lake: Lake) -> pa.Table:
    return lake.sql(
        """SELECT p.model, p.ordinal, l.link.ordinal AS other, l.link.score, l.link.hamming
        FROM pins p, unnest(p.links) AS l(link)"""
    )


def _check_disagreements(lake: Lake, first: Classifier, second: str, stricter: float) -> None:
    """The same net at two thresholds: what stands between them, and nothing else."""
    rows = lake.rows("SELECT * FROM disagreements")
    assert {(row["model"], row["shadow"], row["linked"]) for row in rows} == {
        (first.version, second, True),
        (second, first.version, False),
    }
    for row in rows:
        assert row["score"] == row["shadow_score"]
        assert first.threshold <= row["score"] < first.threshold + stricter
    known = {
        (row["ordinal"], row["other"]): (row["score"], row["hamming"])
        for row in links(lake).to_pylist()
    }
    for row in rows:
        found = known.get((row["ordinal"], row["other"]))
        assert found == ((row["score"], row["hamming"]) if row["linked"] else None)
