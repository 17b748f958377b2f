"""`autocomp resume RUN`."""

from __future__ import annotations

import argparse
from pathlib import Path

from autocomp.cli._flags import add_progress_arguments, add_ray_argument
from autocomp.errors import ChangedStudy, InputError

SUMMARY = "go on with an interrupted run, if all that it began with is as it was; finished work is not repeated"
EXAMPLES = (
    "autocomp resume runs/demo",
    "autocomp resume runs/demo --log",
    "autocomp resume runs/demo --accept-changes --out runs/again",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="the run directory")
    parser.add_argument(
        "--accept-changes",
        action="store_true",
        help="where data, model, space, code or machine is another one than when RUN began, which is an error: start "
        "a new run of the same study from all that still holds, and leave RUN as it is",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="that new run (default: RUN-2, or the next free number)"
    )
    parser.add_argument("--json", action="store_true", help="the final summary as JSON on stdout")
    add_ray_argument(parser)
    add_progress_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run what is left of a study and print its front."""
    from autocomp.cli._follow import follow
    from autocomp.journal import read_events
    from autocomp.study.run import resume_study

    out = args.run_folder
    if args.out and not args.accept_changes:
        raise InputError(
            f"--out {args.out}: only a new run has another folder; give --accept-changes too, or leave it out"
        )
    before = read_events(out / "journal.jsonl")
    try:
        return follow(args, out, lambda listen: resume_study(out, listen, args.ray), before)
    except ChangedStudy as changed:
        if not args.accept_changes:
            raise
        return _anew(args, changed)


def _anew(args: argparse.Namespace, changed: ChangedStudy) -> int:
    """A new run of a study that is not what it was."""
    from autocomp.cli._follow import follow
    from autocomp.cli._say import note, short_path
    from autocomp.study.pins import spec_of
    from autocomp.study.run import run_study

    old, new = args.run_folder, args.out or changed.new
    note(f"{short_path(old)} stays as it is; changed since it began: {'; '.join(changed.changes)}")
    note(f"{short_path(new)} begins anew, from all stages that still hold")
    return follow(args, new, lambda listen: run_study(spec_of(old), new, listen, args.ray))
