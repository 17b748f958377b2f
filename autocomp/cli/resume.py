"""`autocomp resume RUN`."""

from __future__ import annotations

import argparse
from pathlib import Path

from autocomp.cli._flags import add_progress_arguments, add_ray_argument

SUMMARY = "go on with an interrupted run; finished work is not repeated"
EXAMPLES = ("autocomp resume runs/demo", "autocomp resume runs/demo --log")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="the run directory")
    parser.add_argument("--json", action="store_true", help="the final summary as JSON on stdout")
    add_ray_argument(parser)
    add_progress_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run what is left of a study and print its front."""
    from autocomp.cli._follow import follow
    from autocomp.record import read_events
    from autocomp.search.study import resume_study

    out = args.run_folder
    before = read_events(out / "journal.jsonl")
    return follow(args, out, lambda listen: resume_study(out, listen, args.ray), before)
