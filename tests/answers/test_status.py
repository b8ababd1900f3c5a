"""`neardup status` without a broker: what the lake says, and that Kafka does not answer."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from neardup.cli.main import cli
from neardup.infra.holders import LOCKS
from neardup.infra.kafka import free_port
from neardup.schemas.lake import Lake
from tests.answers.park import park


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    (tmp_path / "store").mkdir()
    (tmp_path / "neardup.toml").write_text(
        f'[lake]\npath = "lake"\n[kafka]\nbootstrap_servers = "127.0.0.1:{free_port()}"\n', "utf-8"
    )
    return park(tmp_path / "lake", tmp_path / "store")


def status(lake: Lake, *options: str) -> str:
    config = str(lake.path.parent / "neardup.toml")
    said = CliRunner().invoke(cli, ["status", "--config", config, *options])
    assert said.exit_code == 0, said.output
    return said.output


def test_lines(lake: Lake) -> None:
    lines = dict(line.split(maxsplit=1) for line in status(lake).splitlines())
    assert lines["events"] == "12 decided, 1 quarantined"
    assert lines["pins"] == "6 live"
    assert lines["clusters"] == "4, the largest has 2 pins"
    assert lines["lag"].startswith("No Kafka broker listens")
    assert lines["generation"].startswith("1, published 0 seconds") or "ago" in lines["generation"]
    assert lines["segments"] == "2, and 3 pins after them"
    assert lines["quarantine"] == "1 not_json"
    assert lines["leases"] == "none held"


@pytest.mark.skipif(not LOCKS.exists(), reason=f"this system has no {LOCKS}")
def test_json_and_who_holds_a_lease(lake: Lake) -> None:
    with lake.lease("stream"):
        found = json.loads(status(lake, "--json"))
    assert found["leases"]["stream"]["process"] == os.getpid()
    assert found["positions"] == [{"topic_id": "t", "partition": 0, "offset": 130}]
    assert found["lag"] is None and found["batch_seq"] == 5
    assert found["sizes"]["quantiles"]["1.0"] == 2
