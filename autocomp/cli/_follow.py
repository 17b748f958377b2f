"""Show a study while it runs and say what came of it: shared by `search` and `resume`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from autocomp.cli._front import budget_text, front_text, next_steps, warnings_of
from autocomp.cli._progress import progress
from autocomp.cli._say import command, note, print_json, short_path
from autocomp.errors import NothingMeasured
from autocomp.journal.events import Event
from autocomp.journal.file import Listener
from autocomp.report.summary import Summary, summary


def follow(args: argparse.Namespace, out: Path, work: Callable[[Listener], Any], before: Iterable[Event] = ()) -> int:
    """Do `work` under the view that the arguments ask for; `before` is what a resumed run's journal holds already.

    Raises:
        NothingMeasured: the study ended without a candidate; what there is was printed.
    """
    from autocomp.api import locked_run

    try:
        with progress(args, out) as view:
            view.replay(before)
            locked_run(out, view, work)
    except KeyboardInterrupt:
        if (out / "journal.jsonl").exists():
            note(f"\nwhat is finished is kept; go on with:  {command('resume', short_path(out))}")
        raise
    except NothingMeasured:
        _print(args, summary(out))
        raise
    _print(args, summary(out))
    return 0


def _print(args: argparse.Namespace, found: Summary) -> None:
    for line in warnings_of(found):
        note(line)
    if args.json:
        print_json(found)
    elif not args.json_events:
        print(ending(found))


def ending(found: Summary) -> str:
    """The front, what it cost, where the page is and what to type next."""
    run = Path(found["run"])
    lines = [front_text(found), budget_text(found), f"report:         {short_path(run / 'report.html')}"]
    return "\n".join([*lines, *next_steps(found), *_try_it(found)])


def _try_it(found: Summary) -> list[str]:
    from autocomp.report.pick import pick

    if not found["members"] or not found["final"]:
        return []
    folder = pick(found, "knee")["path"]
    return [f"or try it first: {command('predict', short_path(folder), 'a text')}"] if folder else []
