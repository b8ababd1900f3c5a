"""What a person says takes effect in a running stream, idle or not, and outlives everything."""

from pathlib import Path

import numpy as np
import pytest

from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic
from neardup.schemas.lake import Lake
from neardup.streaming.produce import PinProducer
from tests.faults.system import System
from tests.paths.pictures import with_embedding

pytestmark = pytest.mark.path

MODEL, DIM = "mobilenet_v1", 1024


def clusters(lake: Lake) -> dict[str, int]:
    rows = lake.rows("SELECT pin_id, cluster_id FROM clusters_current")
    return {row["pin_id"]: row["cluster_id"] for row in rows}


def apart(lake: Lake, one: str, other: str) -> bool:
    found = clusters(lake)
    return found[one] != found[other]


def test_words_hold_in_the_stream_after_a_restart_and_after_a_compaction(
    broker: Broker, tmp_path: Path
) -> None:
    topic = "overrides"
    create_topic(broker.bootstrap, topic, 1)
    system = System(tmp_path / "system", broker.bootstrap, topic)
    rng = np.random.default_rng(5)
    shown = {name: rng.standard_normal(DIM) for name in ("a", "b", "c", "d")}
    shown["d-copy"] = shown["d"] + 0.1 * rng.standard_normal(DIM)
    with PinProducer(broker.bootstrap, topic) as producer:
        for name, vector in shown.items():
            producer.send_raw(*with_embedding(name, vector, MODEL))
    stream = system.start("stream")
    system.wait_for("five pins", lambda: system.decided() == 5)
    lake = system.lake
    system.wait_for("memberships", lambda: len(clusters(lake)) == 5)
    assert apart(lake, "a", "b") and not apart(lake, "d", "d-copy")

    why = ("--who", "ann", "--why", "seen side by side")
    assert system.run("override", "link", "a", "b", *why) == 0
    assert system.run("override", "unlink", "d", "d-copy", *why) == 0
    assert system.run("override", "block", "c", *why) == 0
    system.wait_for("words, no event", lambda: lake.dataset("pins").count_rows() == 8, 20)
    system.wait_for("a with b", lambda: not apart(lake, "a", "b"), 20)
    system.wait_for("d alone", lambda: apart(lake, "d", "d-copy"), 20)
    assert system.run("override", "unlink", "b", "a", *why) == 1
    assert 'a = b (#0, ann: "seen side by side"); b != a' in system.words()
    with PinProducer(broker.bootstrap, topic) as producer:  # another picture, the same pin
        producer.send_raw(*with_embedding("a", rng.standard_normal(DIM), MODEL))
        producer.send_raw(*with_embedding("c-copy", shown["c"], MODEL))
    system.wait_for("two more", lambda: "c-copy" in clusters(lake))
    assert not apart(lake, "a", "b") and apart(lake, "c", "c-copy")
    to = str(clusters(lake)["c-copy"])
    assert system.run("override", "move", "d-copy", to, *why) == 0
    system.wait_for("d-copy with c-copy", lambda: not apart(lake, "d-copy", "c-copy"), 20)
    assert system.stop(stream) == 0, system.words()

    before = clusters(lake)
    assert system.drain() == 0, system.words()
    assert clusters(lake) == before, "a restart changes nothing"
    assert system.run("compact") == 0, system.words()
    found = clusters(lake)
    assert found["a"] == found["b"] and found["d-copy"] == found["c-copy"]
    assert len(set(found.values())) == 4
    assert system.run("override", "forget", "0", *why) == 0
    assert system.run("compact") == 0, system.words()
    assert apart(lake, "a", "b"), "taken back, the next compaction weighs them anew"
    assert system.run("verify") == 0, system.words()
