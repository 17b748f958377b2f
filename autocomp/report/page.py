"""The run as one HTML page: the template of `dashboards/`, with data, style, script and plotly inside it."""

from __future__ import annotations

import html
import importlib.util
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from autocomp.catalogue import folders
from autocomp.errors import InputError, SpecError, UnknownName
from autocomp.record import read_events
from autocomp.report.state import RunState
from autocomp.report.summary import read_state, summarise

MOST_TRIALS = 3000
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


def write_report(run: Path, file: Path, include: Iterable[Path] = (), page: str = "report") -> Path:
    """Write the page of a run; it is whole or not there, and replaces an earlier page. Returns `file`.

    A template's parts: `{{title}}`, `{{data}}` (JSON for a script element), `{{plotly}}`, and `{{file:NAME}}` for a
    file beside the template.

    Raises:
        RunFolderError: `run` is not a run.
        UnknownName: no such template.
        InputError: `file` cannot be written.
    """
    known = pages(include)
    if page not in known:
        raise UnknownName("page", page, known)
    text = fill(known[page], page_data(Path(run)))
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error}") from error
    return file


def fill(template: Path, data: Mapping[str, Any]) -> str:
    """A template with its parts put in, in one pass: what the data says is never taken for a part."""
    parts: dict[str, Callable[[str], str]] = {
        "title": lambda _: html.escape(f"{data['summary']['task']}: a front of compressed models"),
        "data": lambda _: embedded_json(data),
        "plotly": lambda _: _plotly(),
        "file": lambda name: (template.parent / name).read_text(encoding="utf-8"),
    }

    def part(match: re.Match[str]) -> str:
        if match[1] not in parts:
            raise SpecError(str(template), match[0], f"must be one of {', '.join(sorted(parts))}")
        return parts[match[1]](match[2] or "")

    return _PART.sub(part, template.read_text(encoding="utf-8"))


def embedded_json(data: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever the texts in it say."""
    text = json.dumps(data, ensure_ascii=False, default=str)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def page_data(run: Path) -> dict[str, Any]:
    """All that a page shows: the summary, measured candidates, the data and the machine; no text of the data set."""
    state = read_state(run)
    return {
        "summary": summarise(state, run),
        "trials": list(_trials(run, state)),
        "failures": state.failures,
        "retried": [{k: r[k] for k in ("job", "attempt", "error", "lost_s")} for r in state.retried],
        "spec": state.spec,
        "data": state.data,
        "machine": state.machine,
        "versions": state.versions,
        "rungs": state.rungs,
        "seconds": None if state.began_at is None or state.ended_at is None else state.ended_at - state.began_at,
    }


def _trials(run: Path, state: RunState) -> Iterator[dict[str, Any]]:
    """Measured candidates, evenly thinned: a browser draws some thousands of points as SVG without stuttering."""
    drawn = (t for e in read_events(run / "journal.jsonl", "record") if (t := _trial(e["record"], state)))
    return islice(drawn, None, None, -(-state.count("complete") // MOST_TRIALS) or 1)


def _trial(record: Mapping[str, Any], state: RunState) -> dict[str, Any] | None:
    numbers = {name: m["value"] for name, m in record["measurements"].items()}
    wanted = ("artifact_size", "latency", "task_score")
    if record["status"] != "complete" or not all(name in numbers for name in wanted):
        return None
    job = state.started.get(str(record["id"]).rpartition("-")[0], {})
    return {
        "id": record["id"],
        "kind": job.get("kind") or "",
        "describe": job.get("describe") or "",
        "plan": plan_words(record["plan"]),
        "bytes": numbers["artifact_size"],
        "latency_ms": numbers["latency"],
        "latency_predicted": bool(record["measurements"]["latency"].get("predicted")),
        "score": numbers["task_score"],
    }


def plan_words(plan: Mapping[str, Any]) -> str:
    """A plan's options in one line; long lists are cut, for the journal has them whole."""
    return " · ".join(f"{step['technique']} {_options(step['options'])}".strip() for step in plan["steps"])


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_short(value)}" for name, value in options.items())


def _short(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else text[:39] + "…"


def _plotly() -> str:
    # Only the script is wanted: importing the package would cost a second.
    spec = importlib.util.find_spec("plotly")
    file = Path(spec.origin or "").parent / "package_data" / "plotly.min.js" if spec else None
    if file is None or not file.is_file():
        raise InputError("the page needs plotly's script: pip install 'plotly>=6.0'")
    # A `</script` inside a string would end the element that holds the script.
    return file.read_text(encoding="utf-8").replace("</script", "<\\/script")
