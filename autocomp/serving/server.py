"""The server: uvicorn, with patience for nobody who sends or reads too slowly, and a quiet end."""

from __future__ import annotations

import logging
import secrets
import socket
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from autocomp.serving._uvicorn import Patient, QuietServer, check_as_read
from autocomp.serving.addresses import hosts, url_host
from autocomp.serving.app import Dashboard, make_app
from autocomp.serving.security import MOST_HEADERS, Gate

IDLE_S = 15
END_S = 3


@dataclass
class Serving:
    """A dashboard that listens already, and answers once it runs.

    Attributes:
        listening: of `places.bind`.
        host: that it listens on.
        allowed: further names under which it may be asked for.
        token: without which it answers nothing.
    """

    dashboard: Dashboard
    listening: socket.socket
    host: str = "127.0.0.1"
    allowed: tuple[str, ...] = ()
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def __post_init__(self) -> None:
        self.port: int = self.listening.getsockname()[1]
        check_as_read()
        gate = Gate(make_app(self.dashboard), self.token, hosts(self.host, self.port, self.allowed))
        self._server = QuietServer(_config(gate))
        streams = self.dashboard.streams
        self._server.before, self._server.after = streams.end, streams.close

    @property
    def url(self) -> str:
        """The page's URL, token included."""
        return f"http://{url_host(self.host)}:{self.port}/?token={self.token}"

    def run(self) -> None:
        """Serve until Ctrl-C or SIGTERM, or until another thread calls `stop`."""
        self._server.run(sockets=[self.listening])

    def stop(self) -> None:
        """Ask it to end; from any thread."""
        self._server.should_exit = True


def _config(app: Any) -> uvicorn.Config:
    # Its log would show the URL with the token, and a line for whatever anybody sends.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    return uvicorn.Config(
        app,
        http=Patient,
        loop="asyncio",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=END_S,
        h11_max_incomplete_event_size=MOST_HEADERS,
    )
