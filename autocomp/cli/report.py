"""`autocomp report RUN`."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "write a run as one HTML page that needs no network"
EXAMPLES = (
    "autocomp report runs/demo --out front.html",
    "autocomp report runs/demo --out front.html --page mine --include my_folder",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="a run directory, finished or not")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page (default: RUN/report.html)")
    parser.add_argument("--page", default="report", help="a name of `autocomp list dashboards`")
    parser.add_argument(
        "--include", action="append", type=Path, default=[], metavar="DIR", help="also look in this folder"
    )


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    from autocomp.report.page import write_report

    print(write_report([args.run_folder], args.out or args.run_folder / "report.html", args.include, args.page))
    return 0
