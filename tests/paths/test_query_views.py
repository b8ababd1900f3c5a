"""Turned pictures through the whole system: found in segments, in the memtable, in the batch."""

import numpy as np
import pytest
from PIL.Image import Transpose

from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic
from neardup.models.classifier import Classifier
from neardup.schemas.lake import Lake
from neardup.schemas.settings import load_settings
from neardup.streaming.consumer import Consumer
from neardup.streaming.produce import PinProducer
from tests.paths.pictures import encoded, photos, with_image

pytestmark = pytest.mark.path


def test_turned_copies_join_their_original(
    broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> None:
    create_topic(broker.bootstrap, "turned", 1)
    settings = load_settings(
        None,
        kafka={"bootstrap_servers": broker.bootstrap, "topic": "turned"},
        lake={"path": tmp_path_factory.mktemp("turned") / "lake"},
        stream={"flush_pins": 8, "max_events_per_batch": 10, "query_views": ["turns"]},
    )
    pictures = photos(10)
    with PinProducer(broker.bootstrap, "turned") as producer:
        for name, picture in pictures.items():
            producer.send_raw(*with_image(f"{name}/upright", encoded(picture)))
        for name, picture in pictures.items():
            for turn in (Transpose.ROTATE_90, Transpose.ROTATE_180):
                turned = encoded(picture.transpose(turn))
                producer.send_raw(*with_image(f"{name}/{turn.name}", turned))
    Consumer(settings).run(once=True)
    lake = Lake(settings.lake.path)
    clusters = lake.rows("SELECT pin_id, cluster_id FROM clusters_current")
    of = {row["pin_id"]: row["cluster_id"] for row in clusters}
    families = {name: {of[pin] for pin in of if pin.startswith(name)} for name in pictures}
    assert len(of) == 30
    assert [len(family) for family in families.values()] == [1] * 10
    assert len(set(of.values())) == 10

    pins = lake.rows("SELECT pin_id, ordinal, signature, links FROM pins ORDER BY ordinal")
    signatures = [np.frombuffer(pin["signature"], np.uint8) for pin in pins]
    upright = [
        int(np.bitwise_count(signatures[pin["ordinal"]] ^ signatures[link["ordinal"]]).sum())
        for pin in pins
        for link in pin["links"]
    ]
    linked = [link["hamming"] for pin in pins for link in pin["links"]]
    assert all(view <= bits for view, bits in zip(linked, upright, strict=True))
    assert max(upright) > Classifier.load().radius >= max(linked)
