"""A Kafka broker of one's own: one KRaft process on loopback, in a folder, for demo and tests."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from neardup.infra.jars import kafka_jars
from neardup.infra.java import find_java
from neardup.infra.topics import answers
from neardup.schemas.errors import EnvironmentProblem

HOST = "127.0.0.1"
HEAP = "512m"
# Base64 makes a 5 MB image 6.7 MB of event; a producer needs max_request_size to match.
MAX_EVENT_BYTES = 8 * 1024 * 1024
# Only names the metadata of this one node; a broker that moves with its folder keeps it.
CLUSTER_ID = "bmVhcmR1cC1sb29wYmFjaw"
START_SECONDS = 60.0
STOP_SECONDS = 20.0

LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %m (%c)%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


@dataclass(frozen=True)
class Listener:
    """A further door of a broker, on a port of its own.

    protocol: "SSL", "SASL_SSL" or "SASL_PLAINTEXT". properties: what it demands, as Kafka's
    settings without the listener's prefix, such as ``ssl.client.auth``.
    """

    protocol: str
    properties: dict[str, str]


class Broker:
    """A broker whose topics live in ``directory`` and outlast it: start again and they are there.

    directory: made if need be; holds ``data/``, ``server.properties`` and ``broker.log``.
    port: where clients connect on 127.0.0.1; 0 takes a free one and keeps it across restarts of
        this object.
    listeners: doors beside that one, which demand TLS or passwords; see ``bootstrap_of``.
    The process ends with its owner, whatever ends that one, and Ctrl-C in the owner's terminal does
    not reach it, so what still reads from it can finish first.
    """

    def __init__(self, directory: Path, port: int = 0, listeners: Sequence[Listener] = ()) -> None:
        self.directory = directory.resolve()
        self.port = port
        self._listeners = {listener.protocol: listener for listener in listeners}
        self._ports: dict[str, int] = {}
        self._java: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients."""
        if self.port == 0:
            raise EnvironmentProblem("This broker has no port yet: start() it first.")
        return f"{HOST}:{self.port}"

    def bootstrap_of(self, protocol: str) -> str:
        """``host:port`` for clients of a further listener."""
        return f"{HOST}:{self._ports[protocol]}"

    @property
    def log(self) -> Path:
        return self.directory / "broker.log"

    def start(self) -> Self:
        """Format the folder if it is new, start, and return once the broker answers.

        Raises EnvironmentProblem without Java or jars, if the port is taken, or if the broker ends
        or stays silent; the message then closes with its last words.
        """
        if self._process is not None:
            return self
        java, jars = find_java(), kafka_jars()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        self._ports = self._ports or {protocol: free_port() for protocol in self._listeners}
        self._require_free_port()
        self._write_configuration()
        self._java = [str(java.executable), f"-Xmx{HEAP}", "-XX:+ExitOnOutOfMemoryError"]
        self._java += ["-Dlog4j2.configurationFile=log4j2.properties"]
        self._java += ["-cp", os.pathsep.join(map(str, jars))]
        if not (self.directory / "data" / "meta.properties").exists():
            self._format()
        self._launch()
        try:
            self._wait_until_it_answers()
        except BaseException:  # Ctrl-C too
            self.kill()
            raise
        return self

    def wait(self) -> None:
        """Return when the broker ends by itself; an endless wait unless something is amiss."""
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        """SIGTERM, which lets it close its logs, then SIGKILL after a wait. Safe to call twice."""
        self._end(word=b"")

    def kill(self) -> None:
        """SIGKILL, as a crash would be; what clients were told is written is in ``directory``."""
        self._end(word=b"k")

    def _end(self, word: bytes) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(word)
        try:
            process.wait(STOP_SECONDS + 5)
        except subprocess.TimeoutExpired:
            pass  # a leash that hangs: killed with its broker
        finally:
            _kill_group(process)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _require_free_port(self) -> None:
        if not is_free(self.port):
            raise EnvironmentProblem(
                f"{HOST}:{self.port} is taken: stop what listens there or choose another --port."
            )

    def _write_configuration(self) -> None:
        (self.directory / "log4j2.properties").write_text(LOGGING, "utf-8")
        properties = server_properties(self.port, free_port())
        for protocol, listener in self._listeners.items():
            properties = with_listener(properties, listener, self._ports[protocol])
        lines = (f"{name}={value}\n" for name, value in properties.items())
        (self.directory / "server.properties").write_text("".join(lines), "utf-8")

    def _format(self) -> None:
        command = [*self._java, "kafka.tools.StorageTool", "format"]
        command += ["--cluster-id", CLUSTER_ID, "--config", "server.properties"]
        done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True)
        if done.returncode != 0:
            raise EnvironmentProblem(
                f"Kafka cannot format {self.directory}: {(done.stderr or done.stdout).strip()}"
            )

    def _launch(self) -> None:
        leash = [sys.executable, "-m", "neardup.infra.leash", str(STOP_SECONDS)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*leash, *self._java, "kafka.Kafka", "server.properties"],
                cwd=self.directory,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while not answers(self.bootstrap):
            ended = self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                words = "\n  ".join(_last_lines(self.log))
                raise EnvironmentProblem(
                    f"Kafka {'ended' if ended else 'does not answer'} on {self.bootstrap}; the "
                    f"last lines of {self.log}:\n  {words}"
                )
            time.sleep(0.1)


def server_properties(port: int, controller_port: int) -> dict[str, str | int]:
    """A broker that is its own controller; paths are relative to its folder."""
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": "data",
        # After a kill the controller lets the broker back in when its old session has run out:
        # 9 s by default.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        "auto.create.topics.enable": "false",
        "message.max.bytes": MAX_EVENT_BYTES,
        "replica.fetch.max.bytes": MAX_EVENT_BYTES,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
    }


def with_listener(
    properties: dict[str, str | int], listener: Listener, port: int
) -> dict[str, str | int]:
    """The properties of a broker that listens there too."""
    protocol, door = listener.protocol, f"{listener.protocol}://{HOST}:{port}"
    protocols = "listener.security.protocol.map"
    prefix = f"listener.name.{protocol.lower()}."
    return {
        **properties,
        "listeners": f"{properties['listeners']},{door}",
        "advertised.listeners": f"{properties['advertised.listeners']},{door}",
        protocols: f"{properties[protocols]},{protocol}:{protocol}",
        **{prefix + name: value for name, value in listener.properties.items()},
    }


def free_port() -> int:
    """A TCP port of loopback that nobody listens on, below those that clients are given (32768...).

    A port from among those could be taken by any client while the broker restarts.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    """Whether nobody listens on a TCP port of loopback."""
    with socket.socket() as probe:
        # As the broker does: a port that lingers in TIME_WAIT after a restart is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    """The leash leads a session of its own: its group is the leash and the broker."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_lines(log: Path, count: int = 12) -> list[str]:
    return log.read_text("utf-8", errors="replace").splitlines()[-count:]
