"""The page and what it asks for. Runs are named by their number, members by their id; no path comes from a request."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from autocomp.errors import AutocompError
from autocomp.report.page import PageData, fill
from autocomp.report.run_view import RunView
from autocomp.serving.downloads import export_to, file_name, files_of, zipped
from autocomp.serving.inference import Trying
from autocomp.serving.live_runs import Shown, data_of
from autocomp.serving.requests import Refused, as_bytes, export_name, number, refusal, rows_known, text_to_try
from autocomp.serving.security import NO_CONTENT, content_policy, new_nonce
from autocomp.serving.stream import Streams
from autocomp.strict_json import Json


def plain_command(*words: Any) -> str:
    """A command line as one types it where `autocomp` is on the path."""
    return shlex.join(["autocomp", *map(str, words)])


@dataclass
class Dashboard:
    """What is shown, and what may be done with it.

    Attributes:
        runs: open already.
        template: of the page.
        exports: the folder that exports go to; made when it is first used.
        command: writes a command line for a person to copy.
    """

    runs: list[Shown]
    template: Path
    exports: Path
    command: Callable[..., str] = plain_command
    streams: Streams = field(init=False)

    def __post_init__(self) -> None:
        self.streams, self._trying = Streams(self.runs), Trying()

    def page(self, nonce: str) -> str:
        """The page as of now, for a content security policy with that nonce."""
        return fill(self.template, self.data(), nonce)

    def data(self) -> PageData:
        """What the page is filled with."""
        return data_of(self.runs, {"exports": str(self.exports)})

    def try_text(self, run: Shown, name: str, text: str | tuple[str, str]) -> Json:
        """What a member and the teacher say of a text; the teacher's is null while it has no files.

        Raises:
            Refused: no such member, or it has no files, or takes other texts.
            ArtifactError: its files are damaged.
        """
        folder = files_of(run.followed.run, run.member(name))[0].parent
        teacher = run.ask(RunView.members).get("teacher", {})
        member = self._trying.answer(folder, text)
        if name == "teacher":
            return {"member": member, "teacher": member}
        if not teacher.get("path"):
            return {"member": member, "teacher": None}
        return {"member": member, "teacher": self._trying.answer(files_of(run.followed.run, teacher)[0].parent, text)}

    def export(self, run: Shown, name: str, folder: str) -> Json:
        """Copy a member's files to a new folder of that name, and say which command does the same.

        Raises:
            Refused: no such member, no files, or the name is taken.
            ArtifactError: its files are damaged.
        """
        found = export_to(self.exports, folder, files_of(run.followed.run, run.member(name)))
        words = ("export", run.followed.run, "--pick", name, "--out", found["path"])
        return {**found, "command": self.command(*words)}

    def download(self, run: Shown, name: str) -> tuple[str, Any]:
        """A zip file's name, and its bytes piece by piece.

        Raises:
            Refused: no such member, or no files.
            ArtifactError: its files are damaged.
        """
        member = run.member(name)
        stem = file_name(run.followed.run, member)
        return f"{stem}.zip", zipped(files_of(run.followed.run, member), stem)


def make_app(dashboard: Dashboard) -> Starlette:
    """The routes. Behind `Gate` only: they ask for no token."""
    views = _Views(dashboard)
    run, member = "/api/runs/{run}", "/api/runs/{run}/members/{member}"
    app = Starlette(
        routes=[
            Route("/", views.page),
            Route("/api/runs", views.runs),
            Route(f"{run}/updates", views.updates),
            Route(f"{run}/importance", views.importance),
            Route(f"{run}/trials/{{trial}}", views.trial),
            Route(f"{member}/card", views.card),
            Route(f"{member}/try", views.try_text, methods=["POST"]),
            Route(f"{member}/export", views.export, methods=["POST"]),
            Route(f"{member}/artifact.zip", views.artifact),
        ],
        exception_handlers={Refused: _refused, AutocompError: _failed, HTTPException: _unrouted, Exception: _broken},
    )
    app.router.redirect_slashes = False  # it would answer with the Host that was sent
    return app


class _Views:
    """One method for each route."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard, self._do = dashboard, dashboard.streams.in_thread

    def _number(self, request: Request) -> int:
        found = number(request.path_params["run"], len(self._dashboard.runs) - 1)
        if found is None:
            raise Refused(404, "no such run on this page")
        return found

    def _run(self, request: Request) -> Shown:
        return self._dashboard.runs[self._number(request)]

    async def page(self, request: Request) -> Response:
        nonce = new_nonce()
        text = await self._do(self._dashboard.page, nonce)
        headers = {"content-security-policy": content_policy(nonce)}
        return Response(text.encode("utf-8", "replace"), media_type="text/html", headers=headers)

    async def runs(self, request: Request) -> Response:
        return _json(await self._do(self._dashboard.data))

    async def updates(self, request: Request) -> Any:
        given = parse_qs(request.scope["query_string"].decode("latin-1"), keep_blank_values=True).get("rows", [None])
        return await self._dashboard.streams.open(self._number(request), rows_known(given[0]))

    async def importance(self, request: Request) -> Response:
        return _json(await self._do(self._run(request).importance))

    async def trial(self, request: Request) -> Response:
        name = request.path_params["trial"]
        return _json(await self._do(self._run(request).ask, lambda followed: followed.trial(name)))

    async def card(self, request: Request) -> Response:
        name = request.path_params["member"]
        return _json(await self._do(self._run(request).ask, lambda followed: followed.card(name)))

    async def try_text(self, request: Request) -> Response:
        run, name, text = self._run(request), request.path_params["member"], text_to_try(await request.body())
        return _json(await self._do(self._dashboard.try_text, run, name, text))

    async def export(self, request: Request) -> Response:
        run, name, folder = self._run(request), request.path_params["member"], export_name(await request.body())
        return _json(await self._do(self._dashboard.export, run, name, folder))

    async def artifact(self, request: Request) -> Response:
        run, name = self._run(request), request.path_params["member"]
        file, pieces = await self._do(self._dashboard.download, run, name)
        headers = {"content-disposition": f'attachment; filename="{file}"', "content-security-policy": NO_CONTENT}
        return StreamingResponse(pieces, media_type="application/zip", headers=headers)


def _json(data: Any, status: int = 200) -> Response:
    return Response(as_bytes(data), status, media_type="application/json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _json({"error": error.message}, error.status)


async def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, AutocompError)
    return await _refused(request, refusal(error))


async def _broken(request: Request, error: Exception) -> Response:
    return _json({"error": "the server failed at this; its terminal says why"}, 500)


async def _unrouted(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: "there is nothing of that name here", 405: "this is asked for with the other of GET and POST"}
    return _json({"error": words.get(error.status_code, error.detail)}, error.status_code)
