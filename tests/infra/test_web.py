"""The pages for machines, over a socket."""

import socket
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry, Counter

from neardup.infra.web import serving
from neardup.schemas.errors import EnvironmentProblem


def get(port: int, page: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{port}{page}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_metrics_and_health() -> None:
    registry, said = CollectorRegistry(), [None, "7 events wait."]
    Counter("served", "An example.", registry=registry).inc(3)
    with serving("127.0.0.1", 0, registry, lambda: said.pop(0)) as port:
        assert "served_total 3.0" in get(port, "/metrics")[1]
        assert get(port, "/healthz") == (200, "ok\n")
        assert get(port, "/healthz") == (503, "7 events wait.\n")
        assert get(port, "/")[0] == 404
    with pytest.raises(OSError, match="refused"):
        get(port, "/metrics")


def test_a_port_that_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(EnvironmentProblem, match=r"choose another stream\.metrics_port"),
            serving("127.0.0.1", port, CollectorRegistry(), lambda: None),
        ):
            pytest.fail("it was had")
