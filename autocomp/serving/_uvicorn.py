"""What autocomp relies on inside uvicorn, all of it here.

Read for uvicorn 0.54, and held by tests/packaging/test_insides.py.

uvicorn has no time limit for a request's headers, for a client that reads nothing, or for the number of connections,
and answers bad HTTP without the headers that every answer of ours carries. So its HTTP/1.1 protocol is extended, whose
methods and attributes are documented nowhere; `Config(http=...)`, which takes such a class, is.
"""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import Callable
from types import FrameType

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from autocomp.errors import InputError
from autocomp.serving.security import ALWAYS

READ_FOR = "0.54"
HEADERS_S = 10.0
"""A request's headers must be there by then."""
STALLED_S = 30.0
"""Whoever takes nothing of an answer for so long is cut off."""
MOST_CONNECTIONS = 256
CALLED = {
    "connection_made": ["transport"],
    "data_received": ["data"],
    "connection_lost": ["exc"],
    "pause_writing": [],
    "resume_writing": [],
    "send_400_response": ["msg"],
}
"""The methods of uvicorn's protocol that are extended here, with their arguments."""
READ = {"conn", "loop", "transport", "connections"}
"""The attributes of uvicorn's protocol that are read here."""
ENDED = {"handle_exit": ["sig", "frame"], "shutdown": ["sockets"]}
"""The methods of uvicorn's server that are extended here, with their arguments."""


def check_as_read() -> None:
    """Refuse a uvicorn that is built otherwise, since the limits on its clients might not hold there.

    Raises:
        InputError: it is one.
    """
    found = {name: _arguments(H11Protocol, name) for name in CALLED} | {n: _arguments(uvicorn.Server, n) for n in ENDED}
    if found != CALLED | ENDED or not set(H11Protocol.__init__.__code__.co_names) >= READ:
        rule = f"the dashboard's limits are written for uvicorn {READ_FOR}, and uvicorn {uvicorn.__version__} is built"
        raise InputError(
            f"{rule} otherwise inside; pip install 'uvicorn=={READ_FOR}.*', or `autocomp report` for a file"
        )


def _arguments(owner: type, method: str) -> list[str] | None:
    found = getattr(owner, method, None)
    return list(inspect.signature(found).parameters)[1:] if found else None


class Patient(H11Protocol):
    """A connection with a time limit for headers and for reading answers; bad HTTP gets the headers of every answer."""

    _deadline: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, if there are not too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop both clocks."""
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
        """The client reads too slowly: from now on it has so much time to go on."""
        super().pause_writing()
        self._stalled = self._stalled or self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._stalled:
            self._stalled.cancel()
            self._stalled = None

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, and close; `msg` is uvicorn's own text and is not sent."""
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


class QuietServer(uvicorn.Server):
    """Ends what still streams before it waits for it, and ends without an error when it is asked to.

    Attributes:
        before, after: called when it begins to shut down, and when it has.
    """

    before: Callable[[], None]
    after: Callable[[], None]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End soon; asked twice, at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down, with both calls around it."""
        self.before()
        await super().shutdown(sockets)
        self.after()
