"""Who may ask, and how: every request passes here first, every answer last. No library, no path, no file.

The page runs in a browser that also shows other pages. Against those stand the token (they do not know it), Host (a
foreign name that was made to point here), Origin and Sec-Fetch-Site (a foreign page that asks), and the answers'
headers (a foreign page that embeds).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from autocomp.serving.requests import Refused, as_bytes

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = dict[str, list[str]]

MOST_BODY, MOST_HEADERS = 64 * 1024, 16 * 1024
BODY_S = 15.0
"""A body that takes longer is not waited for."""
DISCARDED, DISCARD_S = 1024 * 1024, 1.0
"""Of a body that is too large so much is read on, so that the answer is not lost with the connection."""
TOKEN_HEADER = "x-autocomp-token"
SINGLE = ("host", "origin", "content-type", "content-length", "sec-fetch-site", TOKEN_HEADER)
NO_CONTENT = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
ALWAYS = (
    (b"content-security-policy", NO_CONTENT.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
WRONG_TOKEN = "The token is missing or wrong. Open the whole URL that `autocomp dashboard` printed in its terminal."


class Gate:
    """Lets through to `app` only what this server's own page asks, or who has its URL.

    Args:
        app: an ASGI application; it never sees a request that was refused, nor a body over the limit.
        token: the secret of the URL.
        hosts: what `Host` may say, port included.
    """

    def __init__(self, app: App, token: str, hosts: frozenset[str]) -> None:
        self._app, self._token, self._hosts = app, token.encode(), hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, _with_headers(send))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers = _headers(scope)
            self._check(scope, headers)
            receive = await _read(headers, receive) if scope["method"] == "POST" else receive
            if scope["path"] == "/favicon.ico":  # browsers ask for it by themselves, without a token
                await _answer(send, 204, b"", [])
            else:
                self._check_token(scope, headers)
                await self._app(scope, receive, send)
        except Refused as refused:
            if refused.status == 413:
                await _discard(receive)
            await refuse(scope, send, refused)
        except Exception:
            logging.getLogger(__name__).exception("autocomp dashboard: %s failed", scope["method"])

    def _check(self, scope: Scope, headers: Headers) -> None:
        if scope["method"] not in ("GET", "POST"):
            raise Refused(405, "only GET and POST are served")
        twice = [name for name in SINGLE if len(headers.get(name, [])) > 1]
        if twice:
            raise Refused(400, f"the header {twice[0]} must come once")
        self._check_host(headers)
        self._check_origin(scope, headers)
        has_body = headers.get("content-length", ["0"])[0].strip() != "0" or "transfer-encoding" in headers
        if scope["method"] == "GET" and has_body:
            raise Refused(400, "a GET has no body")

    def _check_host(self, headers: Headers) -> None:
        host = headers.get("host", [""])[0]
        if host.lower() not in self._hosts:
            raise Refused(
                403,
                f"This server is not called {ascii(host)[:80]}. Use the URL that `autocomp dashboard` printed; "
                "through a tunnel take the same port at both ends, or start it with --allow-host NAME:PORT.",
            )

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        # Following a link to the page, say from a mail, is what a URL is for; it shows nothing without the token.
        is_followed = scope["path"] == "/" and headers.get("sec-fetch-dest") == ["document"]
        if origin is not None and origin[0].lower() != f"http://{headers['host'][0].lower()}":
            raise Refused(403, "Only this server's own page may ask for this.")
        if site is not None and site[0] not in ("same-origin", "none") and not is_followed:
            raise Refused(403, "Only this server's own page may ask for this.")

    def _check_token(self, scope: Scope, headers: Headers) -> None:
        given = _query(scope).get("token", []) if _is_opened(scope) else headers.get(TOKEN_HEADER, [])
        if len(given) != 1 or not secrets.compare_digest(given[0].encode("utf-8", "replace"), self._token):
            raise Refused(403, WRONG_TOKEN)


def _is_opened(scope: Scope) -> bool:
    """Whether a browser opens it by its URL alone: the page, and downloads."""
    path: str = scope["path"]
    return scope["method"] == "GET" and (path == "/" or path.endswith("/artifact.zip"))


def _headers(scope: Scope) -> Headers:
    size = len(scope["raw_path"]) + len(scope["query_string"]) + sum(len(n) + len(v) for n, v in scope["headers"])
    if size > MOST_HEADERS:
        raise Refused(431, f"path and headers must have at most {MOST_HEADERS} bytes")
    found: Headers = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _query(scope: Scope) -> dict[str, list[str]]:
    try:
        return parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=8)
    except ValueError:
        raise Refused(400, "the URL's query has too many parts") from None


async def _read(headers: Headers, receive: Receive) -> Receive:
    """The whole body of a POST, as a `receive` that gives it at once."""
    kind = headers.get("content-type", [""])[0].split(";")[0].strip().lower()
    if kind != "application/json" or "content-encoding" in headers:
        raise Refused(415, "a POST must be application/json, not encoded")
    length = headers.get("content-length", ["0"])[0].strip()
    if not (length.isascii() and length.isdigit()) or len(length) > 9 or int(length) > MOST_BODY:
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while (message := await receive())["type"] == "http.request":
                body += message.get("body", b"")
                if len(body) > MOST_BODY:
                    raise _too_large()
                if not message.get("more_body"):
                    break
            else:
                raise Refused(400, "the body did not arrive whole")
    except TimeoutError:
        raise Refused(408, f"the body did not arrive within {BODY_S:g} seconds") from None
    return _replayed(bytes(body), receive)


def _too_large() -> Refused:
    return Refused(413, f"a body must have at most {MOST_BODY} bytes")


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


async def _discard(receive: Receive) -> None:
    read = 0
    try:
        async with asyncio.timeout(DISCARD_S):
            while read < DISCARDED and (message := await receive())["type"] == "http.request":
                read += len(message.get("body", b""))
                if not message.get("more_body"):
                    return
    except TimeoutError:
        return


async def refuse(scope: Scope, send: Send, refused: Refused) -> None:
    """Say why: a sentence where a person looks, JSON for scripts. The connection ends, whatever it still brings."""
    extra = [(b"connection", b"close"), *([(b"allow", b"GET, POST")] if refused.status == 405 else [])]
    if scope["path"] == "/" or scope["path"].endswith("/artifact.zip"):
        kind, body = b"text/plain; charset=utf-8", f"{refused.message}\n".encode()
    else:
        kind, body = b"application/json", as_bytes({"error": refused.message})
    await _answer(send, refused.status, body, [(b"content-type", kind), *extra])


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    length = [(b"content-length", str(len(body)).encode())] if status != 204 else []
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": body})


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message["headers"]}
            missing = [(name, value) for name, value in ALWAYS if name not in given]
            message = {**message, "headers": [*message["headers"], *missing]}
        await send(message)

    return guarded


def new_nonce() -> str:
    """A word that nobody can foresee; scripts run only if they carry it."""
    return secrets.token_urlsafe(18)


def content_policy(nonce: str) -> str:
    """The page's content security policy: its own scripts, its own server, nothing else."""
    return "; ".join([
        "default-src 'none'",
        f"script-src 'nonce-{nonce}'",
        "style-src 'unsafe-inline'",
        "img-src data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ])  # fmt: skip
