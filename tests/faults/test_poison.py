"""An event that crashes its worker, one that hangs it: they are named, the rest goes on."""

import os
import sys
from pathlib import Path

import pytest

from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic
from tests.faults.conftest import send
from tests.faults.poison import faulty_codec, gif, slow_jpeg
from tests.faults.system import System
from tests.paths.pictures import encoded, photos, with_image

pytestmark = pytest.mark.path

MORE = """\
[events]
max_seconds = 2.0
"""


def test_a_crash_and_a_hang_cost_themselves_alone(broker: Broker, tmp_path: Path) -> None:
    topic = "poison"
    create_topic(broker.bootstrap, topic, 1)
    good = [with_image(name, encoded(picture)) for name, picture in photos(6).items()]
    poison = [with_image("crash", gif()), with_image("hang", slow_jpeg(4000))]
    send(broker.bootstrap, topic, [*good[:3], *poison, *good[3:]])
    system = System(tmp_path / "poisoned", broker.bootstrap, topic, more=MORE)
    path = os.pathsep.join([str(faulty_codec(tmp_path / "codec")), *filter(None, sys.path)])
    assert system.drain(PYTHONPATH=path) == 0, system.words()
    rows = system.lake.rows('SELECT key, reason, detail FROM quarantine ORDER BY "offset"')
    assert [(row["key"], row["reason"]) for row in rows] == [
        (b"crash", "crashed"),
        (b"hang", "timeout"),
    ]
    assert "SIGSEGV" in rows[0]["detail"]
    found = system.lake.rows('SELECT pin_id, ordinal, signature FROM pins ORDER BY "offset"')
    assert [row["pin_id"] for row in found] == list(photos(6))
    assert [row["ordinal"] for row in found] == list(range(6))
