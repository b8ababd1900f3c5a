"""The topic of changes: folded as docs/changes.md says it gives the tables, also after SIGKILL."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kafka import KafkaConsumer

from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic
from neardup.schemas.lake import Lake
from neardup.streaming.produce import PinProducer
from tests.faults.events import DIM, pin
from tests.faults.system import System

pytestmark = pytest.mark.path

TOPIC = "cluster-changes"


def folded(bootstrap: str) -> tuple[dict[str, tuple[int, str]], list[dict[str, Any]]]:
    """What the example of docs/changes.md ends with, and every change in the topic."""
    page = (Path(__file__).parents[2] / "docs" / "changes.md").read_text("utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    found: dict[str, Any] = {"changes": []}
    code = code.replace("127.0.0.1:9092", bootstrap).replace("5_000", "2_000")
    kept = code.replace("json.loads(record.value)", "json.loads(record.value); changes += [change]")
    assert kept != code
    exec(kept, found)  # noqa: S102
    assert isinstance(found["consumer"], KafkaConsumer)
    found["consumer"].close()
    return found["clusters"], found["changes"]


def current(lake: Lake) -> dict[str, tuple[int, str]]:
    rows = lake.rows("SELECT pin_id, cluster_id, head FROM clusters_current")
    return {row["pin_id"]: (row["cluster_id"], row["head"]) for row in rows}


def test_the_fold_of_the_topic_is_the_table_also_after_a_kill(
    broker: Broker, tmp_path: Path
) -> None:
    create_topic(broker.bootstrap, "changing", 2)
    create_topic(broker.bootstrap, TOPIC, 3)
    system = System(tmp_path / "system", broker.bootstrap, "changing")
    rng = np.random.default_rng(6)
    bases = rng.standard_normal((8, DIM))
    sent = 0

    def send(*events: tuple[bytes, bytes | None]) -> None:
        nonlocal sent
        with PinProducer(broker.bootstrap, "changing") as producer:
            for key, value in events:
                producer.send_raw(key, value)
        sent += len(events)

    send(*(pin(f"p{i}", bases[i % 4], rng) for i in range(32)))
    stream = system.start("stream", NEARDUP_KAFKA__CHANGES_TOPIC=TOPIC)
    system.wait_for("pins", lambda: system.decided() == 32 and len(current(system.lake)) == 32)
    linked = system.run("override", "link", "p0", "p1", "--who", "ann", "--why", "the same")
    assert linked == 0, system.words()
    send((b"p2", None), pin("p3", bases[0], rng))
    system.wait_for("changes", lambda: system.decided() == sent + 1)
    system.wait_for("what they did", lambda: "p2" not in current(system.lake))
    send(*(pin(f"q{i}", bases[4 + i % 4], rng) for i in range(16)))
    system.wait_for("some of the rest", lambda: system.decided() > sent - 16 + 1)
    stream.kill()
    stream.wait()

    send((b"q0", None), pin("p4", bases[5], rng), *(pin(f"r{i}", bases[i], rng) for i in range(8)))
    assert system.drain(NEARDUP_KAFKA__CHANGES_TOPIC=TOPIC) == 0, system.words()
    clusters, changes = folded(broker.bootstrap)
    assert clusters == current(system.lake)
    assert len(clusters) == 32 + 16 + 8 - 2
    assert {"joined", "moved", "merged", "left"} <= {change["change"] for change in changes}
    sequences = [tuple(change["sequence"]) for change in changes]
    twice = {sequence[:2] for sequence in sequences if sequences.count(sequence) > 1}
    assert len(twice) <= 1, "after a kill no more than the step that was begun is sent again"

    assert system.run("compact", "--force") == 0, system.words()
    send(*(pin(f"s{i}", bases[i], rng) for i in range(8)), (b"p5", None))
    assert system.drain(NEARDUP_KAFKA__CHANGES_TOPIC=TOPIC) == 0, system.words()
    clusters, changes = folded(broker.bootstrap)
    assert clusters == current(system.lake)
    assert {change["generation"] for change in changes} == {0, 1}
