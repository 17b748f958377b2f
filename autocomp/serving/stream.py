"""Server-sent events: what is new in a run, to every page that is open on it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from autocomp.serving.live_runs import Listener, Shown
from autocomp.serving.requests import Refused
from autocomp.serving.security import Receive, Scope, Send

T = TypeVar("T")
HEARTBEAT_S = 10.0
"""A comment is sent this often when nothing is new, so that both sides know of each other."""
MOST_STREAMS = 64
THREADS = 16
HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8")]


class Streams:
    """All open streams, one reader task for each run that has any, and the threads in which runs are read."""

    def __init__(self, runs: list[Shown]) -> None:
        self._runs, self._open = runs, [0] * len(runs)
        self._readers = dict[int, asyncio.Task[None]]()
        self._threads = ThreadPoolExecutor(THREADS, "autocomp-dashboard")
        self._is_ending = False

    async def in_thread(self, work: Callable[..., T], *given: Any) -> T:
        """Do work that reads files, or waits for others who do."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *given))

    async def open(self, number: int, rows: int | None) -> Updates:
        """A stream of a run, as an ASGI application.

        Raises:
            Refused: too many are open.
            RunFolderError: the run is gone, or damaged.
        """
        if sum(self._open) >= MOST_STREAMS or self._is_ending:
            raise Refused(503, f"at most {MOST_STREAMS} streams may be open at once; close some pages")
        listener = Listener()
        self._open[number] += 1
        try:
            await self.in_thread(self._runs[number].listen, listener, rows)
        except BaseException:
            self._open[number] -= 1
            raise
        if number not in self._readers:
            self._readers[number] = asyncio.create_task(self._read(number))
        return Updates(self, number, listener)

    async def left(self, number: int, listener: Listener) -> None:
        """A stream has ended."""
        self._open[number] -= 1
        await self.in_thread(self._runs[number].leave, listener)

    async def _read(self, number: int) -> None:
        try:
            while self._open[number] and not self._is_ending:
                await asyncio.sleep(await self.in_thread(self._runs[number].look))
        except Exception:
            logging.getLogger(__name__).exception("autocomp dashboard: run %d cannot be followed", number)
            self._runs[number].end()
        finally:
            del self._readers[number]

    def end(self) -> None:
        """End all streams, and take no new ones."""
        self._is_ending = True
        for run in self._runs:
            run.end()

    def close(self) -> None:
        """Let readers and threads go."""
        for reader in list(self._readers.values()):
            reader.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)


class Updates:
    """One stream, until its page goes or the server ends."""

    def __init__(self, streams: Streams, number: int, listener: Listener) -> None:
        self._streams, self._number, self._listener = streams, number, listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until one side ends."""
        gone = asyncio.create_task(self._until_gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            while (text := await self._next()) is not None:
                await send({"type": "http.response.body", "body": text.encode("utf-8", "replace"), "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            await self._streams.left(self._number, self._listener)

    async def _next(self) -> str | None:
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                text = await self._listener.next()
        except TimeoutError:
            return ": still here\n\n"
        return None if text is None else f"data: {text}\n\n"

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._listener.tell(None)
