"""A Spark cluster of one master and two workers in the place of threads: the same tables."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyspark
import pytest
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from neardup.infra.kafka import Broker, free_port
from neardup.schemas.settings import Settings
from neardup.streaming import microbatch
from tests.paths.test_whole_path import System, contents, drained, family_events

pytestmark = [pytest.mark.path, pytest.mark.faults]

SPARK_CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"
START_SECONDS = 120


@pytest.fixture
def master(tmp_path: Path) -> Iterator[str]:
    """The address of a master that has two workers, of one core each."""
    port = free_port()
    url = f"spark://127.0.0.1:{port}"
    deploy = "org.apache.spark.deploy"
    with ExitStack() as stack, (tmp_path / "cluster.log").open("wb") as log:

        def start(*words: str) -> None:
            process = subprocess.Popen([SPARK_CLASS, *words], stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)

        local = ["--host", "127.0.0.1", "--webui-port", "0"]
        start(f"{deploy}.master.Master", *local, "--port", str(port))
        answers(port)
        for name in ("left", "right"):
            limits = ["--cores", "1", "--memory", "700m", "--work-dir", str(tmp_path / name)]
            start(f"{deploy}.worker.Worker", *local, *limits, url)
        yield url


@retry(
    retry=retry_if_exception_type(OSError),
    stop=stop_after_delay(START_SECONDS),
    wait=wait_fixed(0.5),
    reraise=True,
)
def answers(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=1).close()


class OnCluster(System):
    """A system whose executors are the workers'."""

    master = ""

    @property
    def settings(self) -> Settings:
        options: dict[str, Any] = {
            "spark.driver.host": "127.0.0.1",
            "spark.executor.memory": "600m",
            "spark.scheduler.minRegisteredResourcesRatio": "1.0",  # both are there at the start
            "spark.cores.max": "2",
        }
        spark = {"master": self.master, "options": options}
        return super().settings.model_copy(
            update={"spark": super().settings.spark.model_copy(update=spark)}
        )


def test_a_cluster_writes_the_same_tables(
    broker: Broker,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    master: str,
) -> None:
    events, _ = family_events(14)
    local = drained(broker, tmp_path_factory.mktemp("local"), "local", events)
    spread = OnCluster(broker, tmp_path_factory.mktemp("spread"), local.topic)
    spread.master = master
    monkeypatch.setattr(microbatch, "SEARCHES_PER_TASK", 1)  # the executors search every batch
    spread.drain()
    assert contents(spread.lake) == contents(local.lake)
