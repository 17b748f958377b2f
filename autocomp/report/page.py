"""Runs as one HTML page: the template of `dashboards/`, with data, style, script and plotly inside it."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypedDict

from autocomp import strict_json
from autocomp.catalogue import folders
from autocomp.errors import InputError, SpecError, UnknownName
from autocomp.report._plotly import embedded_script
from autocomp.report.run_view import RunData, RunView
from autocomp.storage import write_atomically

VERSION = 2
"""Of the data that scripts read."""


class Live(TypedDict):
    """What only a page that is served needs: the folder to which it exports."""

    exports: str


class PageRun(RunData, total=False):
    """A run on a page, where links name it by `key`."""

    key: str


class PageData(TypedDict):
    """All that a page shows; docs/command-line.md says what its keys are."""

    version: int
    runs: list[PageRun]
    live: Live | None


Tell = Callable[[str], None]
_PART = re.compile(r"\{\{(\w+)(?::([\w.-]+))?\}\}")


def pages(include: Iterable[Path] = ()) -> dict[str, Path]:
    """`{name: template}` of every page template.

    Raises:
        SpecError: when two folders define one name.
    """
    found: dict[str, Path] = {}
    for folder in folders("dashboards", include):
        for file in sorted(folder.glob("*.html")):
            if file.stem in found:
                raise SpecError(str(file), file.stem, f"is defined already in {found[file.stem]}; rename one of them")
            found[file.stem] = file
    return found


def write_report(
    runs: Sequence[Path],
    file: Path,
    include: Iterable[Path] = (),
    page: str = "report",
    texts: bool = True,
    tell: Tell | None = None,
) -> Path:
    """Write the page of one or more runs; it is whole or not there, and replaces an earlier page. Returns `file`.

    A template's parts: `{{title}}`, `{{data}}` (JSON for a script element), `{{plotly}}`, `{{nonce}}` (empty in a
    file), and `{{file:NAME}}` for a file beside the template.

    Args:
        page: name of the template.
        texts: whether it may show texts of the data set.
        tell: called again and again with what is done, in words.

    Raises:
        RunFolderError: one of `runs` is not a run.
        UnknownName: no such template.
        InputError: `file` cannot be written.
    """
    template = template_for(file, page, include)
    return write_page(file, template, page_data(runs, texts=texts, tell=tell))


def template_of(page: str, include: Iterable[Path] = ()) -> Path:
    """The file of a page template.

    Raises:
        UnknownName: no such template.
        SpecError: two folders define one name.
    """
    known = pages(include)
    if page not in known:
        raise UnknownName("page", page, known)
    return known[page]


def template_for(file: Path, page: str, include: Iterable[Path] = ()) -> Path:
    """The template of a page that is to be written to `file`, before any work is done for it.

    Raises:
        UnknownName: no such template.
        InputError: there is no folder for `file`.
    """
    template = template_of(page, include)
    if not file.absolute().parent.is_dir():
        raise InputError(f"{file} cannot be written: there is no folder {file.absolute().parent}; make it first")
    return template


def write_page(file: Path, template: Path, data: PageData) -> Path:
    """Fill a template into `file`, which is whole or as it was. Returns `file`.

    Raises:
        InputError: it cannot be written.
    """
    try:
        write_atomically(file, fill(template, data))
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error}; name another file") from error
    return file


def fill(template: Path, data: PageData, nonce: str | None = None) -> str:
    """A template with its parts put in, in one pass: what the data says is never taken for a part.

    Args:
        data: of `page_data`.
        nonce: of the content security policy under which the page is served.
    """
    parts: dict[str, Callable[[str], str]] = {
        "title": lambda _: html.escape(_title(data)),
        "nonce": lambda _: html.escape(nonce or ""),
        "data": lambda _: embedded_json(data),
        "plotly": lambda _: embedded_script(),
        "file": lambda name: (template.parent / name).read_text(encoding="utf-8"),
    }

    def part(match: re.Match[str]) -> str:
        if match[1] not in parts:
            raise SpecError(str(template), match[0], f"must be one of {', '.join(sorted(parts))}")
        return parts[match[1]](match[2] or "")

    return _PART.sub(part, template.read_text(encoding="utf-8"))


def _title(data: PageData) -> str:
    tasks = dict.fromkeys(str(run["summary"]["task"]) for run in data["runs"])
    return f"{', '.join(tasks)}: a front of compressed models"


def as_json(data: Any) -> str:
    """Compact JSON: numbers that JSON has no word for are null, half a surrogate pair is a question mark."""
    return strict_json.dumps(data, separators=strict_json.COMPACT).encode("utf-8", "replace").decode("utf-8")


def embedded_json(data: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever the texts in it say."""
    return as_json(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def page_data(
    runs: Sequence[Path],
    *,
    live: Live | None = None,
    cards: bool = True,
    texts: bool = True,
    tell: Tell | None = None,
) -> PageData:
    """All that a page shows; its keys are described in docs/command-line.md.

    Args:
        live: what only a page that is served needs; None in a file.
        cards: whether cards and importance are in it; a live page asks for them one by one.
        texts: whether cards show texts of the data set.
        tell: called again and again with what is done, in words.

    Raises:
        RunFolderError: one of them is not a run directory.
    """
    told = tell or _nobody
    followed = [RunView(Path(run), counting(run, told)) for run in runs]
    return page_of(followed, live=live, cards=cards, texts=texts, tell=told)


def page_of(
    followed: Sequence[RunView],
    *,
    live: Live | None = None,
    cards: bool = True,
    texts: bool = True,
    tell: Tell | None = None,
) -> PageData:
    """As `page_data`, of runs that are open already."""
    names = names_of([one.run for one in followed])
    runs: list[PageRun] = []
    for i, (one, name) in enumerate(zip(followed, names, strict=True)):
        run: PageRun = {"key": f"r{i}", **one.run_data(), "name": name}
        if cards:
            _add_cards(run, one, texts, tell or _nobody)
        runs.append(run)
    return {"version": VERSION, "runs": runs, "live": live}


def _add_cards(run: PageRun, one: RunView, texts: bool, tell: Tell) -> None:
    """Add cards and importance, which take seconds."""
    cards = {}
    for name in one.members():
        tell(f"{one.run}: the card of {name}")
        cards[name] = one.card(name, texts)
    tell(f"{one.run}: which knobs matter")
    run["cards"], run["importance"] = cards, one.importance()


def counting(run: Path, tell: Tell) -> Callable[[int], None]:
    """Tells how far a journal is read."""
    return lambda rows: tell(f"{run}: {rows:,} candidates read")


def _nobody(words: str) -> None:
    """Hears what is done, and says nothing."""


def names_of(runs: Sequence[Path]) -> list[str]:
    """Folder names, with as many folders before them as tell them apart."""
    for parts in range(1, max((len(run.parts) for run in runs), default=0) + 1):
        names = ["/".join(run.parts[-parts:]) for run in runs]
        if len(set(names)) == len(names):
            return names
    return [f"{run.name} ({i})" for i, run in enumerate(runs, 1)]
