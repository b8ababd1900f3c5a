"""Ten thousand hostile events through the real stream: each is in one table, once."""

from collections import Counter
from pathlib import Path

import pytest

from neardup.answers.verify import verify
from neardup.benchmarks.fuzz import Fuzzer
from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic, offset_ranges
from neardup.schemas.settings import KafkaSettings
from tests.faults.conftest import send
from tests.faults.system import System

SEED = 20260107
EVENTS = 10_000
LARGE = {"NEARDUP_STREAM__MAX_EVENTS_PER_BATCH": "2000", "NEARDUP_STREAM__FLUSH_PINS": "1000"}


@pytest.mark.faults
def test_no_hostile_event_is_lost(broker: Broker, tmp_path: Path) -> None:
    topic = "fuzz"
    create_topic(broker.bootstrap, topic, 2)
    fuzzer = Fuzzer(SEED)
    records = [fuzzer.record(offset) for offset in range(EVENTS)]
    sent = [(record["key"], record["value"]) for record in records]
    send(broker.bootstrap, topic, [pair for pair in sent if pair != (None, None)])
    more = "[events]\nsource_quota = 50\nsource_quota_window = 1000\n"
    system = System(tmp_path / "fuzz", broker.bootstrap, topic, more=more)
    assert system.drain(**LARGE) == 0, system.words()
    lake = system.lake
    rows = lake.rows(
        """SELECT partition, "offset", reason FROM quarantine
        UNION ALL SELECT partition, "offset", kind FROM pins"""
    )
    found = Counter((row["partition"], row["offset"]) for row in rows)
    ranges = offset_ranges(KafkaSettings(bootstrap_servers=broker.bootstrap), topic)
    places = {(partition, o) for partition, (_, end) in ranges.items() for o in range(end)}
    assert set(found) == places and set(found.values()) == {1}, f"seed {SEED}"
    reasons = Counter(row["reason"] for row in rows)
    assert len(reasons) > 12 and reasons["quota"], reasons
    report = verify(system.path)
    assert report.ok, [outcome for outcome in report.outcomes if not outcome.ok]
    print(f"{EVENTS} hostile events, seed {SEED}: {dict(reasons)}")
