"""`autocomp dashboard RUN [RUN…]`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autocomp.serving.server import Serving

SUMMARY = "open runs as a page in the browser, live: understand a front, choose, try and export"
EXAMPLES = (
    "autocomp dashboard runs/demo",
    "autocomp dashboard runs/before runs/after",
    "autocomp dashboard runs/demo --no-open --port 8765",
    "autocomp dashboard runs/demo --exports models --page mine --include my_folder",
)
_OPEN_TO_OTHERS = """\
Warning: {host} is no loopback address. Anybody who can reach this machine and has the URL can read these runs, \
try models and write exports to {exports}. The connection is not encrypted: others on the way can read the URL.
Safer: leave --host out, and on your own machine type
  ssh -L {port}:127.0.0.1:{port} {name}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="a run directory, finished or not")
    parser.add_argument("--port", type=_port, default=0, metavar="N", help="to listen on (default: a free one)")
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="to listen on (default 127.0.0.1: this machine only)"
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME[:PORT]",
        help="another name by which browsers may ask for it, such as a tunnel's; repeat for several",
    )
    parser.add_argument(
        "--exports", type=Path, default=Path("exports"), metavar="DIR", help="where exports go (default: ./exports)"
    )
    parser.add_argument("--no-open", action="store_true", help="print the URL and open no browser")
    parser.add_argument("--page", default="report", help="a name of `autocomp list dashboards`")
    parser.add_argument(
        "--include", action="append", type=Path, default=[], metavar="DIR", help="also look in this folder"
    )
    parser.add_argument(
        "--json", action="store_true", help="one line for scripts: url, port, token, pid; implies --no-open"
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:6]) <= 65535):
        raise argparse.ArgumentTypeError(f"takes a port from 1 to 65535, or 0 for a free one; got {text!r}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    from autocomp.cli._say import note

    serving = _serving(args)
    _announce(args, serving)
    try:
        with _opened(serving.url, not args.no_open and not args.json):
            serving.run()
    except KeyboardInterrupt:  # before the server took Ctrl-C over, or pressed again and again: how one ends it
        pass
    finally:
        serving.listening.close()
    note("the dashboard has ended")
    return 0


def _serving(args: argparse.Namespace) -> Serving:
    """Everything that may be wrong is found here, before the port is bound and anything is printed."""
    from autocomp.cli._say import command, patient
    from autocomp.report.page import template_of
    from autocomp.serving.addresses import bind, hosts
    from autocomp.serving.app import Dashboard
    from autocomp.serving.live_runs import open_runs
    from autocomp.serving.security import new_nonce
    from autocomp.serving.server import Serving

    hosts(args.host, args.port, args.allow_host)
    template = template_of(args.page, args.include)
    dashboard = Dashboard(open_runs(args.runs, patient()), template, args.exports.resolve(), command)
    dashboard.page(new_nonce())
    return Serving(dashboard, bind(args.host, args.port), args.host, tuple(args.allow_host))


def _announce(args: argparse.Namespace, serving: Serving) -> None:
    from autocomp.cli._say import note
    from autocomp.serving.addresses import is_loopback, url_host

    if args.json:
        found = {"url": serving.url, "port": serving.port, "token": serving.token, "pid": os.getpid()}
        print(json.dumps(found), flush=True)
    else:
        print(serving.url, flush=True)
    if not is_loopback(args.host):
        place = {"host": args.host, "exports": args.exports, "port": serving.port, "name": url_host("0.0.0.0")}
        note(_OPEN_TO_OTHERS.format(**place))
    if not args.json:
        note("Whoever has this URL can use the page: keep it to yourself. Ctrl-C ends it.")


@contextmanager
def _opened(url: str, wanted: bool) -> Iterator[None]:
    """Meanwhile a browser is sent to the URL, where there is a display.

    The browser is given a file that leads there: its command line, which every user of this machine can read, does not
    show the token.
    """
    if not wanted or not _has_display():
        yield
        return
    with tempfile.TemporaryDirectory(prefix="autocomp-dashboard-") as folder:
        page = Path(folder) / "open.html"
        page.write_text(
            '<!doctype html><meta name="referrer" content="no-referrer">'
            f'<meta http-equiv="refresh" content="0;url={url}">'
        )
        webbrowser.open(page.as_uri())
        yield


def _has_display() -> bool:
    if sys.platform in ("darwin", "win32"):
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
