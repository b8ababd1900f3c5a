"""Two pages for machines: /metrics for Prometheus, /healthz for whoever restarts what is ill."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import ThreadingWSGIServer, make_wsgi_app

from neardup.schemas.errors import EnvironmentProblem

TEXT = ("Content-Type", "text/plain; charset=utf-8")


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """A scrape every few seconds is no news."""


@contextmanager
def serving(
    host: str, port: int, registry: CollectorRegistry, complaint: Callable[[], str | None]
) -> Iterator[int]:
    """Serve while the block runs; gives the port, a free one if ``port`` is 0.

    /healthz answers 200 while ``complaint()`` is None, else 503 with what it says. Raises
    EnvironmentProblem if the port cannot be had.
    """
    metrics = make_wsgi_app(registry)

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        page = environ["PATH_INFO"]
        if page == "/metrics":
            answer: Iterable[bytes] = metrics(environ, start)
            return answer
        if page != "/healthz":
            start("404 Not Found", [TEXT])
            return [b"There are /metrics and /healthz.\n"]
        said = complaint()
        start("200 OK" if said is None else "503 Service Unavailable", [TEXT])
        return [f"{said or 'ok'}\n".encode()]

    try:
        server = make_server(host, port, application, ThreadingWSGIServer, _Silent)
    except OSError as error:
        raise EnvironmentProblem(
            f"Metrics cannot be served at {host}:{port} ({error.strerror or error}): choose "
            "another stream.metrics_port, or 0 for none."
        ) from None
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
