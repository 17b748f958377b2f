"""`autocomp search [STUDY]`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from autocomp.cli._flags import add_progress_arguments, add_ray_argument, add_study_arguments, spec_of

if TYPE_CHECKING:
    from autocomp.spec import StudySpec

SUMMARY = "search the compound space within a budget; leaves a Pareto front of files you can ship"
EXAMPLES = (
    "autocomp search demo --budget 9m",
    "autocomp search --model ./my_bert --task reviews.csv --text review --label stars --budget 2h --out runs/reviews",
    "autocomp search my_study.yaml --objective artifact_size --objective task_score --quiet --json",
    "autocomp search demo --budget 2cpu-hours --ray local",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_study_arguments(parser)
    parser.add_argument("--out", type=Path, metavar="RUN", help="new run directory (default: runs/STUDY-1, -2 …)")
    parser.add_argument("--json", action="store_true", help="the final summary as JSON on stdout")
    add_ray_argument(parser)
    add_progress_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run a study to its end and print its front."""
    spec = spec_of(args)
    out = args.out or free_folder(Path("runs"), _name(args.study, spec))
    from autocomp.cli._follow import follow
    from autocomp.study.run import run_study

    return follow(args, out, lambda listen: run_study(spec, out, listen, args.ray))


def free_folder(parent: Path, name: str) -> Path:
    """`parent/name-1`, or the first number that is free."""
    number = 1
    while (parent / f"{name}-{number}").exists():
        number += 1
    return parent / f"{name}-{number}"


def _name(study: str | None, spec: StudySpec) -> str:
    stem = Path(study or spec.task.source).stem
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in stem).strip("-.") or "study"
