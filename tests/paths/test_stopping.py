"""The stream as a process: SIGTERM finishes its batch, the next start goes on and publishes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from neardup.infra.kafka import Broker
from neardup.infra.topics import create_topic
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake
from neardup.streaming.produce import PinProducer
from tests.paths.pictures import encoded, photos, with_image

pytestmark = pytest.mark.path

SETTINGS = """\
[lake]
path = "lake"
[kafka]
bootstrap_servers = "{bootstrap}"
topic = "stopping"
[stream]
max_events_per_batch = 5
"""


def start(config: Path, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "neardup.cli.main", "stream", "--config", str(config)],
            stderr=file,
            stdout=file,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )


def decided(lake: Path) -> int:
    try:
        return Lake(lake).dataset("pins").count_rows()
    except LakeError:  # not made yet
        return 0


def wait_for(what: str, log: Path, check: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"no {what}:\n{log.read_text('utf-8')[-3000:]}"
        time.sleep(0.1)


def test_sigterm_then_a_second_start_and_a_compaction_beside_it(
    broker: Broker, tmp_path: Path
) -> None:
    create_topic(broker.bootstrap, "stopping", 2)
    config, log, lake = tmp_path / "neardup.toml", tmp_path / "log", tmp_path / "lake"
    config.write_text(SETTINGS.format(bootstrap=broker.bootstrap), "utf-8")
    pictures = list(photos(30).items())
    with PinProducer(broker.bootstrap, "stopping") as producer:
        for name, picture in pictures:
            producer.send_raw(*with_image(name, encoded(picture)))
    stream = start(config, log)
    wait_for("pins", log, lambda: decided(lake) > 0)
    below = psutil.Process(stream.pid).children(recursive=True)
    stream.send_signal(signal.SIGTERM)
    assert stream.wait(timeout=60) == 0, log.read_text("utf-8")[-3000:]
    _, alive = psutil.wait_procs(below, timeout=20)
    assert alive == []
    stopped_at = decided(lake)
    assert 0 < stopped_at < len(pictures), "it stopped between two batches, not at the end"
    assert len(Lake(lake).sql("SELECT pin_id FROM clusters_current")) == stopped_at
    assert "published" not in log.read_text("utf-8") and "Traceback" not in log.read_text("utf-8")

    again = start(config, log)
    wait_for("rest", log, lambda: decided(lake) == len(pictures))
    compacted = subprocess.run(
        [sys.executable, "-m", "neardup.cli.main", "compact", "--config", str(config)],
        capture_output=True,
        text=True,
    )
    assert compacted.returncode == 0, compacted.stderr[-3000:]
    assert Lake(lake).current_generation() == 1
    assert "published generation 1" in log.read_text("utf-8"), "by the running stream"
    again.send_signal(signal.SIGTERM)
    assert again.wait(timeout=60) == 0
    positions = Lake(lake).rows('SELECT DISTINCT partition, "offset" FROM pins')
    assert len(positions) == len(pictures), "each event once"
