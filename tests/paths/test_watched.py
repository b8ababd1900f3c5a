"""A running stream seen from outside: metrics, health, its log, `neardup status`."""

import json
import signal
from pathlib import Path
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

from neardup.answers.verify import verify
from neardup.cli.main import cli
from neardup.infra.kafka import Broker, free_port
from neardup.infra.topics import create_topic
from neardup.streaming.produce import PinProducer
from tests.paths.pictures import encoded, photos, with_image
from tests.paths.test_stopping import start, wait_for

pytestmark = pytest.mark.path

SETTINGS = """\
[lake]
path = "lake"
[kafka]
bootstrap_servers = "{bootstrap}"
topic = "watched"
[stream]
metrics_port = {port}
log_json = true
flush_pins = 4
"""


def page(port: int, name: str) -> str:
    with urlopen(f"http://127.0.0.1:{port}/{name}", timeout=30) as answer:
        return str(answer.read().decode())


def test_a_stream_is_seen_while_it_runs(broker: Broker, tmp_path: Path) -> None:
    create_topic(broker.bootstrap, "watched", 2)
    config, log, port = tmp_path / "neardup.toml", tmp_path / "log", free_port()
    config.write_text(SETTINGS.format(bootstrap=broker.bootstrap, port=port), "utf-8")
    with PinProducer(broker.bootstrap, "watched") as producer:
        for name, picture in photos(6).items():
            producer.send_raw(*with_image(name, encoded(picture)))
        producer.send_raw(b"bad", b"{")
    stream = start(config, log)
    try:
        wait_for(
            "batch",
            log,
            lambda: stream.poll() is not None or '"batch 0: ' in log.read_text("utf-8"),
        )
        figures = dict(
            line.rsplit(" ", 1)
            for line in page(port, "metrics").splitlines()
            if not line.startswith("#")
        )
        assert page(port, "healthz") == "ok\n"
        shown = CliRunner().invoke(cli, ["status", "--config", str(config), "--json"])
        assert shown.exit_code == 0, shown.output
    finally:
        stream.send_signal(signal.SIGTERM)
        code = stream.wait(timeout=60)
    assert code == 0, log.read_text("utf-8")[-3000:]
    assert float(figures["neardup_events_total"]) == 7
    assert float(figures["neardup_rejected_events_total"]) == 1
    assert float(figures['neardup_stage_seconds_count{stage="commit"}']) >= 1
    assert float(figures['neardup_memory_bytes{part="jvm"}']) > 50e6
    assert float(figures['neardup_memory_bytes{part="workers"}']) > 50e6
    status = json.loads(shown.output)
    assert status["events"] == 6 and status["quarantine"] == {"not_json": 1}
    assert status["lag"] == {"0": 0, "1": 0} and status["kafka"] == "answers"
    assert status["leases"]["stream"]["process"] == stream.pid
    ours = [json.loads(line) for line in log.read_text("utf-8").splitlines() if line[:1] == "{"]
    assert {"time", "level", "logger", "message", "batch"} <= ours[0].keys()
    assert any(line["message"].startswith("batch 0: ") and line["batch"] == 0 for line in ours)
    report = verify(tmp_path / "lake")
    assert report.ok, [outcome for outcome in report.outcomes if not outcome.ok]
