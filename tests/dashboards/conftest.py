"""Pages in a real browser: Debian's Chromium without any network, and a page that must end without a single error."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

from autocomp.report.page import write_report
from autocomp.testing.runs import write_run

ROOT = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE_S = 20


def chromium():
    """The browser's path: $AUTOCOMP_CHROMIUM, or the first one of the usual names."""
    found = os.environ.get("AUTOCOMP_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    assert found, f"no browser: install chromium (make browser) or set AUTOCOMP_CHROMIUM; looked for {', '.join(NAMES)}"
    return found


@pytest.fixture(scope="module")
def browser():
    """One browser a file. No longer: while Playwright works, nothing else in this process may run an event loop."""
    flags = ["--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run"]
    flags += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    flags += ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), headless=True, args=flags)
        yield opened
        opened.close()


class Watch:
    """What went wrong in pages: errors on the console (violations of the content security policy are among them),
    errors that nobody caught, and requests that failed or wanted to leave this machine.

    Attributes:
        errors: in words, in order. A test that means to make some takes them out with `expect`.
    """

    def __init__(self, context):
        self.errors = []
        context.route("**/*", self._let)
        context.on("console", lambda said: self._add(said.type == "error", f"console: {said.text}"))
        context.on("weberror", lambda error: self._add(True, f"page: {error.error}"))
        context.on("requestfailed", self._failed)
        context.on("response", lambda r: self._add(r.status >= 400, f"status {r.status}: {_place(r.url)}"))

    def _add(self, is_wrong, words):
        if is_wrong:
            self.errors.append(words)

    def _let(self, route):
        address = urlsplit(route.request.url)
        if address.scheme in ("file", "data", "blob") or address.hostname == "127.0.0.1":
            route.continue_()
        else:
            self.errors.append(f"asked the network: {route.request.url}")
            route.abort()

    def _failed(self, request):
        # A download and a stream that the page ended are aborted by the browser itself.
        self._add("ERR_ABORTED" not in (request.failure or ""), f"failed: {_place(request.url)}: {request.failure}")

    def expect(self, words):
        """Errors that contain the words are there, and are taken out."""
        meant = [e for e in self.errors if words in e]
        assert meant, f"no error says {words!r}: {self.errors}"
        self.errors[:] = [e for e in self.errors if words not in e]


def _place(url):
    return urlsplit(url)._replace(query="").geturl()


@pytest.fixture
def pages(browser, started):
    """`pages(**options)`: a page of a new context, watched; options are Playwright's, as `color_scheme="dark"`.

    Pages are closed before the servers that `started` ends: one that is gone is an error to a page that follows it.
    """
    contexts = []

    def opened(**options):
        context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 900}, "accept_downloads": True, **options}
        )
        context.set_default_timeout(PATIENCE_S * 1000)
        page = context.new_page()
        page.watch = Watch(context)
        contexts.append((context, page.watch))
        return page

    yield opened
    for context, _ in contexts:
        context.close()
    assert [error for _, watch in contexts for error in watch.errors] == []


@pytest.fixture
def page(pages):
    """A page that fails its test at the end if anything went wrong in it; `page.watch` has what did."""
    return pages()


@pytest.fixture
def report(tmp_path):
    """`report(events)`: the address of a report of a made-up run, as a browser opens it from a folder."""

    def written(events=None, name="made_up"):
        return write_report([write_run(tmp_path / name, events)], tmp_path / f"{name}.html").as_uri()

    return written


def environment(cache):
    """Of a subprocess that runs the code under test."""
    return {**os.environ, "AUTOCOMP_CACHE": str(cache), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def autocomp(*words):
    """A command line for `subprocess`."""
    return [sys.executable, "-m", "autocomp", *map(str, words)]


@pytest.fixture(scope="session")
def finished(tiny_run, tmp_path_factory):
    """The folder of a real finished run, three trials of a tiny model; its members are real files. A copy, for servers
    that look at it from other processes ask for its lock.
    """
    return shutil.copytree(tiny_run.run, tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture
def started(tmp_path):
    """`started(*words, cache=…)`: an `autocomp` command that runs beside the test, with pipes; killed at the end."""
    processes = []

    def run(*words, cache=tmp_path / "cache"):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen(autocomp(*words), env=environment(cache), **pipes))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def dashboard(started):
    """`dashboard(RUN, …, *options)`: what the started server said of itself, its `url` for one."""

    def serve(*words):
        process = started("dashboard", *words, "--json", "--no-open")
        line = process.stdout.readline()
        assert line, process.stderr.read()
        return SimpleNamespace(process=process, **json.loads(line))

    return serve
