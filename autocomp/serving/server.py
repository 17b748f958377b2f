"""The server: uvicorn, with patience for nobody who sends or reads too slowly, and a quiet end."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from autocomp.serving.app import Dashboard, make_app
from autocomp.serving.gate import ALWAYS, MOST_HEADERS, Gate
from autocomp.serving.places import hosts, url_host

HEADERS_S = 10.0
"""A request's headers must be there by then."""
STALLED_S = 30.0
"""Whoever takes nothing of an answer for so long is cut off."""
IDLE_S = 15
END_S = 3
MOST_CONNECTIONS = 256


class _Patient(H11Protocol):
    """A connection with a time limit for headers and for reading answers; bad HTTP gets the headers of every answer."""

    _deadline: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._deadline, self._stalled):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Run the clock while a request's headers are awaited, and never start it anew for a few more bytes."""
        is_awaited = self.conn.their_state is h11.IDLE
        if is_awaited and self._deadline is None:
            self._deadline = self.loop.call_later(HEADERS_S, self.transport.abort)
        elif not is_awaited and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self._stalled or self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled:
            self._stalled.cancel()
            self._stalled = None

    def send_400_response(self, msg: str) -> None:
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # an answer is under way
            self.transport.abort()
            return
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close"), *ALWAYS]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=b"This is not HTTP as this server reads it.\n"),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class _Server(uvicorn.Server):
    """Ends its streams before it waits for them, and ends without an error when it is asked to."""

    dashboard: Dashboard

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit  # asked twice
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.dashboard.streams.end()
        await super().shutdown(sockets)
        self.dashboard.streams.close()


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
        gate = Gate(make_app(self.dashboard), self.token, hosts(self.host, self.port, self.allowed))
        self._server = _Server(_config(gate))
        self._server.dashboard = self.dashboard

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
        http=_Patient,
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
