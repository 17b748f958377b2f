"""`autocomp show RUN`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autocomp.report.summary import Summary

SUMMARY = "show a run: its front, what it spent, and what to type next"
EXAMPLES = ("autocomp show runs/demo", "autocomp show runs/demo --all", "autocomp show runs/demo --json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="a run directory, finished or not")
    parser.add_argument("--json", action="store_true", help="the summary as JSON (keys: docs/command-line.md)")
    parser.add_argument("--all", action="store_true", help="every member, not only twelve of them")


def run(args: argparse.Namespace) -> int:
    """Print the summary of a run."""
    from autocomp.cli._say import print_json
    from autocomp.report.summary import summary

    found = summary(args.run_folder)
    if args.json:
        print_json(found)
    else:
        print(describe(found, None if args.all else 12))
    return 0


def describe(found: Summary, most: int | None) -> str:
    """The summary for people."""
    from autocomp.cli._front import budget_text, front_text, next_steps, notes_of, warnings_of
    from autocomp.cli._say import short_path

    title = f"{short_path(found['run'])}: {found['status']}"
    reason = f" ({found['reason']})" if found["reason"] else ""
    about = f"{found['model']} on {found['task']}"
    above = [f"{title}{reason} · {about}", *warnings_of(found)]
    return "\n".join([*above, front_text(found, most), *notes_of(found), budget_text(found), *next_steps(found)])
