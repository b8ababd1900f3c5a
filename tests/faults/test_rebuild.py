"""Another hasher: a lake made beside the stream takes the old one's place; the stream goes on."""

from pathlib import Path

import numpy as np
import pytest
from kafka import KafkaAdminClient, TopicPartition

from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic, offset_ranges
from neardup.models.hasher import Hasher, _build
from neardup.schemas.lake import Lake
from neardup.schemas.settings import KafkaSettings
from tests.classifiers import saved
from tests.faults.conftest import send
from tests.faults.events import events
from tests.faults.system import System, partition
from tests.paths.pictures import copies, encoded, photos, with_image

FACTS = 'pin_id, kind, ordinal, previous, signature, hasher, links, partition, "offset"'


def renewed(folder: Path) -> str:
    """Settings of another hasher, the bundled one's directions in another order, and a classifier
    for it."""
    bundled = Hasher.load()
    projection = bundled.projection[:, ::-1].astype(np.int16)
    hasher = _build(bundled.mean, projection, bundled.step, bundled.embedder, bundled.looks)
    hasher.save(folder / "hasher.npz", {})
    saved(folder / "classifier.npz", hasher_version=hasher.version)
    return f'[models]\nhasher = "{folder}/hasher.npz"\nclassifier = "{folder}/classifier.npz"\n'


def ids(lake: Lake) -> dict[str, int]:
    rows = lake.rows("SELECT pin_id, cluster_id FROM clusters_current")
    return {row["pin_id"]: row["cluster_id"] for row in rows}


@pytest.mark.faults
def test_a_lake_of_another_hasher_takes_over(broker: Broker, tmp_path: Path) -> None:
    topic, sent = "rebuilt", events()
    create_topic(broker.bootstrap, topic, 1)  # the order of two depends on the batches
    send(broker.bootstrap, topic, sent[:100])
    models = renewed(tmp_path)
    old = System(tmp_path / "old", broker.bootstrap, topic)
    new = System(tmp_path / "new", broker.bootstrap, topic, more=models)
    running = old.start("stream")
    try:
        old.wait_for("all events", lambda: old.decided() == 100)
        assert new.drain() == 0, new.words()  # beside the old stream
        assert old.run("rebuild", "--new", str(new.config)) == 1
        assert "stop it first" in old.words()
    finally:
        stopped = old.stop(running)
    assert stopped == 0, old.words()
    before, made = ids(old.lake), partition(new.lake)
    assert old.run("rebuild", "--new", str(new.config)) == 0, old.words()
    assert partition(old.lake) == made
    after = ids(old.lake)
    same = {pin_id for pin_id in after if after[pin_id] == before[pin_id]}
    assert len(same) > 0.9 * len(after)

    send(broker.bootstrap, topic, sent[100:])
    old.more = models
    old.write_settings()
    assert old.drain() == 0, old.words()
    assert old.run("verify") == 0, old.words()
    ever = System(tmp_path / "ever", broker.bootstrap, topic, more=models)
    assert ever.drain() == 0, ever.words()
    facts = [lake.rows(f"SELECT {FACTS} FROM pins ORDER BY ALL") for lake in (old.lake, ever.lake)]
    assert facts[0] == facts[1] and len(facts[0]) > 100
    assert partition(old.lake) == partition(ever.lake)
    assert len({pin_id for pin_id in same if ids(old.lake).get(pin_id) == before[pin_id]}) > 0


def album(folder: Path) -> list[tuple[bytes, bytes]]:
    """Twelve photos and three copies of each as files, and as events that carry them."""
    folder.mkdir()
    sent = []
    for seed, (name, photo) in enumerate(photos(12).items()):
        for kind, picture in {"original": photo, **copies(photo, seed)}.items():
            data = encoded(picture)
            (folder / f"{name}-{kind}.jpg").write_bytes(data)
            sent.append(with_image(f"{name}-{kind}.jpg", data))
    return sent


def expire(broker: Broker, topic: str) -> None:
    """Kafka forgets all that it has now."""
    ends = offset_ranges(KafkaSettings(bootstrap_servers=broker.bootstrap), topic)
    with KafkaAdminClient(bootstrap_servers=broker.bootstrap) as admin:
        admin.delete_records({TopicPartition(topic, p): end for p, (_, end) in ends.items()})


@pytest.mark.faults
def test_what_kafka_has_no_longer_comes_from_the_pictures(broker: Broker, tmp_path: Path) -> None:
    """Three partitions; of half the events there are files alone, of the others Kafka's bytes."""
    topic, sent = "album", album(tmp_path / "album")
    create_topic(broker.bootstrap, topic, 3)
    send(broker.bootstrap, topic, sent[:24])
    models = renewed(tmp_path)
    old = System(tmp_path / "old", broker.bootstrap, topic)
    new = System(tmp_path / "new", broker.bootstrap, topic, more=models)
    assert old.drain() == 0, old.words()
    expire(broker, topic)
    for key, _ in sent[24:]:
        (tmp_path / "album" / str(key, "utf-8")).unlink()
    send(broker.bootstrap, topic, sent[24:40])
    assert old.drain() == 0, old.words()
    assert new.run("backfill", str(tmp_path / "album")) == 0, new.words()
    assert new.drain() == 0, new.words()
    assert old.run("rebuild", "--new", str(new.config)) == 1
    assert "The new lake lacks" in old.words() and "Nothing was changed" in old.words()
    before, made = ids(old.lake), partition(old.lake)
    assert old.run("rebuild", "--new", str(new.config), "--accept-loss") == 0, old.words()
    assert partition(old.lake) == made, "the bits are the same, in another order"
    assert ids(old.lake) == before

    send(broker.bootstrap, topic, sent[40:])
    old.more = models
    old.write_settings()
    assert old.drain() == 0, old.words()
    assert old.run("verify") == 0, old.words()
    assert {pin for cluster in partition(old.lake) for pin in cluster} == {
        str(key, "utf-8") for key, _ in sent if key
    }
    assert max(map(len, partition(old.lake))) > 2, "copies were found"
