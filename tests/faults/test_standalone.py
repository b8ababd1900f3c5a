"""A Spark cluster of one master and two workers in the place of threads: the same tables.

With this checkout, and with the wheel that is made of it, installed by itself.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import venv
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
ROOT = Path(__file__).resolve().parents[2]
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


@pytest.fixture(scope="module")
def local(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> System:
    """What threads have written."""
    events, _ = family_events(14)
    return drained(broker, tmp_path_factory.mktemp("local"), "local", events)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has our wheel, and finds all other packages where this one has them."""
    folder = tmp_path_factory.mktemp("shipped")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    alone = ["--no-deps", "--no-index"]
    source = folder / "source"  # setuptools writes beside what it packs
    left_out = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info")
    shutil.copytree(ROOT, source, symlinks=True, ignore=left_out)
    wheels = ["wheel", *alone, "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    subprocess.run([*pip, *wheels], check=True)
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    (wheel,) = folder.glob("neardup-*.whl")
    subprocess.run([*pip, "--python", python, "install", *alone, wheel], check=True)
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    return python


def test_a_cluster_writes_the_same_tables(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, master: str, local: System
) -> None:
    spread = OnCluster(broker, tmp_path, local.topic)
    spread.master = master
    monkeypatch.setattr(microbatch, "SEARCHES_PER_TASK", 1)  # the executors search every batch
    spread.drain()
    assert contents(spread.lake) == contents(local.lake)


def named(settings: Settings) -> dict[str, str]:
    """Settings as variables of the environment."""
    return {
        f"NEARDUP_{section}__{name}".upper(): value if isinstance(value, str) else json.dumps(value)
        for section, values in settings.model_dump(mode="json", exclude_defaults=True).items()
        for name, value in values.items()
    }


def test_the_wheel_alone_writes_the_same_tables(
    broker: Broker, tmp_path: Path, master: str, local: System, shipped: Path
) -> None:
    """Its modules, its models and its jars' list: nothing is taken from this checkout."""
    spread = OnCluster(broker, tmp_path, local.topic)
    spread.master = master
    where = [str(shipped), "-c", "import neardup.streaming as it; print(it.__file__)"]
    found = subprocess.run(where, check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    assert str(shipped.parents[1]) in found
    stream = [str(shipped.with_name("neardup")), "stream", "--once"]
    subprocess.run(stream, check=True, cwd=tmp_path, env={**os.environ, **named(spread.settings)})
    assert contents(spread.lake) == contents(local.lake)
