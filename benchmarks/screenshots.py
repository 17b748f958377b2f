"""The main views of a run's page as small PNGs for README.md and docs/dashboard.md.

    python benchmarks/screenshots.py runs/sst2                    # writes docs/images/*.png

The run must be finished. The live page is photographed, so that "try it" is there; its text is `--text`.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from _browser import opened_browser, served
from PIL import Image
from playwright.sync_api import Browser, Locator, Page

from autocomp.report.pick import pick
from autocomp.report.summary import summary

IMAGES = Path(__file__).parents[1] / "docs" / "images"
COLOURS, AIR = 128, 16
WIDE, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}


def main(argv: Sequence[str] | None = None) -> None:
    """Take all pictures of a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=IMAGES)
    parser.add_argument("--text", default="Not the film I hoped for, but a warm and funny one.")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    with opened_browser() as browser, served(args.run, Path(tempfile.gettempdir(), "exports")) as door:
        for name, picture in pictures(browser, door["url"], args.run, args.text):
            file = args.out / f"dashboard-{name}.png"
            file.write_bytes(compact(picture))
            print(f"{file}: {file.stat().st_size / 1e3:.0f} kB")


def pictures(browser: Browser, url: str, run: Path, text: str) -> Iterator[tuple[str, bytes]]:
    """Names and PNGs of the views."""
    found = summary(run)
    knee = pick(found, "knee")["id"]
    others = [m["id"] for m in found["members"] if m["id"] != knee]
    least = sorted(m["score"] for m in found["members"])[len(found["members"]) // 2]
    limit = f"#limits=score:{least:.4f}"
    compared = ",".join(f"r0/{name}" for name in (knee, *others[-1:], "teacher"))
    card = f"#pick=r0/{knee}"
    yield "front", taken(browser, url + limit, "#choose", WIDE)
    yield "card", taken(browser, url + card, "#card", WIDE, ready="#card h3")
    yield "comparison", taken(browser, f"{url}#compare={compared}", "#comparison", WIDE, ready="#comparison .compared")
    yield "try", taken(browser, url + card, "#card .try", WIDE, ready="#try-text", act=lambda page: tried(page, text))
    for name in ("knobs", "progress"):
        picture = taken(browser, url, f"#{name}", WIDE, required=False)
        if picture:
            yield name, picture
    yield "dark", taken(browser, url + limit, None, WIDE, dark=True)
    yield "phone", taken(browser, url + limit, None, PHONE, act=to_the_front)


def taken(
    browser: Browser,
    address: str,
    part: str | None,
    size: dict[str, int],
    ready: str = "#chart .main-svg",
    dark: bool = False,
    required: bool = True,
    act: Callable[[Page], None] | None = None,
) -> bytes:
    """A PNG of one part of the page, or of what the window shows first; empty if an optional part is not there."""
    context = browser.new_context(viewport=size, color_scheme="dark" if dark else "light", reduced_motion="reduce")
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector(ready)
    page.wait_for_timeout(1500)
    if act:
        act(page)
    found = page.locator(part) if part else None
    if found and found.count():
        found.scroll_into_view_if_needed()  # what lies further down is drawn when it comes near
        page.wait_for_timeout(1500)
    if found and not required and (not found.count() or not found.is_visible() or not found.inner_text().strip()):
        picture = b""
    else:
        picture = page.screenshot(
            animations="disabled", full_page=bool(found), **({"clip": around(found)} if found else {})
        )
    context.close()
    return picture


def around(part: Locator) -> dict[str, float]:
    """A part's place on the whole page, with some air."""
    box = part.evaluate(
        "(e) => { const b = e.getBoundingClientRect(); return [b.x, b.y + scrollY, b.width, b.height]; }"
    )
    x, y, width, height = box
    return {"x": max(0.0, x - AIR), "y": max(0.0, y - AIR), "width": width + 2 * AIR, "height": height + 2 * AIR}


def to_the_front(page: Page) -> None:
    """Scroll to it."""
    page.locator("#choose").evaluate("(e) => e.scrollIntoView()")
    page.wait_for_timeout(300)


def tried(page: Page, text: str) -> None:
    """Ask both models."""
    page.fill("#try-text", text)
    page.press("#try-text", "Enter")
    page.wait_for_selector("#try-answers .answer >> nth=1")


def compact(picture: bytes) -> bytes:
    """The same PNG with a palette."""
    out = io.BytesIO()
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


if __name__ == "__main__":
    main()
