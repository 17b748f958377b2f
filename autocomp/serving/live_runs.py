"""The runs that a page shows: each read by one reader, however many pages are open on it."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from autocomp.errors import AutocompError
from autocomp.report.page import Live, PageData, Tell, as_json, counting, page_of
from autocomp.report.run_view import RunView
from autocomp.report.state import Member
from autocomp.serving.requests import Refused

T = TypeVar("T")
EVERY_S = 0.5
"""Between two looks at the journal of a run that pages follow."""
EVERY_S_WHEN_FINISHED = 5.0
MOST_WAITING = 200
"""Updates that wait for one page; one that takes none of them any more begins anew."""


class Listener:
    """One open page's end of a stream: texts to send, then None."""

    def __init__(self) -> None:
        self._loop, self._texts = asyncio.get_running_loop(), asyncio.Queue[str | None]()

    async def next(self) -> str | None:
        """The next text; None when the stream ends."""
        return await self._texts.get()

    def tell(self, text: str | None) -> None:
        """Hand on a text, from any thread."""
        self._loop.call_soon_threadsafe(self._put, text)

    def _put(self, text: str | None) -> None:
        self._texts.put_nowait(text if self._texts.qsize() < MOST_WAITING else None)


class Shown:
    """One run, for any number of threads.

    Args:
        run: its directory.
        tell: hears how far a long journal is read.

    Raises:
        RunFolderError: it is no run directory, or its journal is damaged.
    """

    def __init__(self, run: Path, tell: Tell | None = None) -> None:
        self.guard = threading.Lock()
        self.followed = RunView(run, counting(run, tell) if tell else None)
        self._listeners: set[Listener] = set()
        self._computing = threading.Lock()
        self._importance: tuple[int, Any] = (-1, None)

    def ask(self, question: Callable[[RunView], T]) -> T:
        """The answer of the run, while nobody else asks it."""
        with self.guard:
            return question(self.followed)

    def importance(self) -> Any:
        """As `RunView.importance`, once for each number of candidates; meanwhile the run is followed on."""
        with self._computing:
            with self.guard:
                rows = len(self.followed.columns)
                if self._importance[0] == rows:
                    return self._importance[1]
                still = copy.copy(self.followed)
                still.columns = copy.deepcopy(self.followed.columns)
            self._importance = (rows, still.importance())
            return self._importance[1]

    def member(self, name: str) -> Member:
        """A member or landmark by its id, which is looked up and used for nothing else.

        Raises:
            Refused: there is none.
        """
        found = self.ask(RunView.members).get(name)
        if found is None:
            raise Refused(404, "this run has no member of that id (any more); reload the page")
        return found

    def listen(self, listener: Listener, rows: int | None) -> None:
        """From now on tell the listener what is new; at first what a page with so many candidates lacks."""
        with self.guard:
            self.catch_up()
            known = len(self.followed.columns)
            listener.tell(as_json(self.followed.since(known if rows is None else min(rows, known))))
            self._listeners.add(listener)

    def leave(self, listener: Listener) -> None:
        """Tell the listener no more."""
        with self.guard:
            self._listeners.discard(listener)

    def look(self) -> float:
        """Tell all listeners what is new; seconds until the next look."""
        with self.guard:
            try:
                self.catch_up()
            except (AutocompError, OSError):  # the folder is gone, or damaged: the next one who asks is told
                self._tell(None)
            return EVERY_S if self.followed.state.reason is None else EVERY_S_WHEN_FINISHED

    def catch_up(self) -> None:
        """Read what the journal gained, and pass it on. The guard is held."""
        update = self.followed.new()
        if update and self._listeners:
            self._tell(as_json(update))

    def end(self) -> None:
        """End all streams, whatever is being asked."""
        self._tell(None)

    def _tell(self, text: str | None) -> None:
        for listener in list(self._listeners):
            listener.tell(text)


def open_runs(runs: Iterable[Path], tell: Tell | None = None) -> list[Shown]:
    """All of them.

    Raises:
        RunFolderError: one is no run directory, or its journal is damaged.
    """
    return [Shown(Path(run), tell) for run in runs]


def data_of(shown: Sequence[Shown], live: Live) -> PageData:
    """The page's data as of now; cards and importance are asked for one by one."""
    with ExitStack() as held:
        for one in shown:
            held.enter_context(one.guard)
        for one in shown:
            one.catch_up()
        return page_of([one.followed for one in shown], live=live, cards=False)
