"""Debian's Chromium, driven by Playwright, for what is measured and photographed of the dashboards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@contextmanager
def opened_browser() -> Iterator[Browser]:
    """Headless, drawing in software, without network but for this machine.

    Raises:
        SystemExit: there is none.
    """
    found = os.environ.get("AUTOCOMP_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        sys.exit("no Chromium: say `make browser`, or set AUTOCOMP_CHROMIUM to its path")
    flags = ["--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--enable-precise-memory-info"]
    flags += [
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, headless=True, args=flags)
        yield browser
        browser.close()


@contextmanager
def served(run: Path, exports: Path) -> Iterator[dict[str, Any]]:
    """`autocomp dashboard RUN --json` and what it said: url, port, token, pid."""
    program = Path(sys.executable).with_name("autocomp")
    known = {**os.environ, "PATH": os.pathsep.join([str(program.parent), os.environ["PATH"]])}
    command = [str(program), "dashboard", str(run), "--json", "--exports", str(exports)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=known)
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        sys.exit("the dashboard did not start")
    try:
        yield json.loads(line)
    finally:
        process.terminate()
        process.wait()
