"""`autocomp publish RUN --to TOOL`."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "write a run for Optuna's dashboard, TensorBoard or MLflow"
EXAMPLES = (
    "autocomp publish runs/demo --to optuna",
    "autocomp publish runs/demo --to tensorboard",
    "autocomp publish runs/demo --to mlflow --out all_runs.db --json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="a run directory, finished or not")
    parser.add_argument("--to", required=True, metavar="TOOL", help="a name of `autocomp list targets`")
    parser.add_argument("--out", type=Path, metavar="WHERE", help="file or folder (default: inside RUN)")
    parser.add_argument("--json", action="store_true", help="what was written, as JSON")


def run(args: argparse.Namespace) -> int:
    """Write it, and say how to look at it."""
    import shlex

    from autocomp.cli._say import print_json, short_path
    from autocomp.publishing import read_run, targets

    target = targets[args.to]
    done = target.publish(read_run(args.run_folder), (args.out or args.run_folder / target.default).resolve())
    if args.json:
        print_json({**vars(done), "to": args.to})
        return 0
    print(f"{short_path(done.where)}: {done.added} {done.what} added to {done.name!r}, {done.total} in all")
    print(f"look at them:  {' '.join(shlex.quote(word) for word in done.command)}")
    return 0
