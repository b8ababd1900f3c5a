"""What a source's quota refused is sent again: with a higher quota, or a little every time."""

from pathlib import Path

import numpy as np
import pytest

from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic
from tests.faults.conftest import PARTITIONS, send
from tests.faults.events import DIM, MODEL, SEED, Event
from tests.faults.system import System, told
from tests.paths.pictures import with_embedding

QUOTA = "[events]\nsource_quota = 6\nsource_quota_window = 20\n"
REPLAY = ["quarantine", "replay", "--reason", "quota"]


def flood() -> list[Event]:
    """Forty pins of one source and ten of others, in families; some pins have a second version."""
    rng = np.random.default_rng(SEED)
    bases = rng.standard_normal((10, DIM))
    names = [f"flood-{i}" for i in range(40)] + [f"calm-{i}" for i in range(10)]
    order = [*rng.permutation(names).tolist(), *names[:40:5]]
    return [
        with_embedding(
            name,
            bases[int(name.partition("-")[2]) % 10] + 0.2 * rng.standard_normal(DIM),
            MODEL,
            source=name.partition("-")[0],
        )
        for name in order
    ]


def standing(system: System) -> dict[str, list[str]]:
    """Live pins with their signatures, and clusters, whatever way they came."""
    rows = system.lake.rows(
        """SELECT pin_id, signature FROM pins JOIN clusters_current USING (pin_id, ordinal)
        ORDER BY pin_id"""
    )
    return {"pins": list(map(repr, rows)), "clusters": told(system.lake, False)["clusters"]}


@pytest.mark.faults
@pytest.mark.parametrize("raised", [True, False], ids=["raised", "as it was"])
def test_a_flood_is_taken_when_it_is_sent_again(
    broker: Broker, tmp_path: Path, raised: bool
) -> None:
    topic, sent = f"flood-{raised}".lower(), flood()
    create_topic(broker.bootstrap, topic, PARTITIONS)
    send(broker.bootstrap, topic, sent)
    free = System(tmp_path / "free", broker.bootstrap, topic)
    assert free.drain() == 0, free.words()
    system = System(tmp_path / "held", broker.bootstrap, topic, more=QUOTA)
    assert system.drain() == 0, system.words()
    refused = system.lake.dataset("quarantine").count_rows()
    assert refused > 20
    if raised:
        system.more = ""
        system.write_settings()
    rounds = 0
    while "\n0 events would be sent" not in said(system, "--dry-run"):
        assert "sent to" in said(system, "--yes")
        assert system.drain() == 0, system.words()
        rounds += 1
    assert rounds == 1 if raised else 1 < rounds < refused
    assert system.run("verify") == 0, system.words()
    assert standing(system) == standing(free)


def said(system: System, *words: str) -> str:
    before = len(system.words(10**9))
    assert system.run(*REPLAY, *words) == 0, system.words()
    return system.words(10**9)[before:]
