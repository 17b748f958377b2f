"""`autocomp report RUN…`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from autocomp.cli._say import patient, print_json

if TYPE_CHECKING:
    from autocomp.report.page import PageData
    from autocomp.strict_json import Json

SUMMARY = "write runs as one HTML page that needs no network"
EXAMPLES = (
    "autocomp report runs/demo --out front.html",
    "autocomp report runs/before runs/after --out both.html --no-texts",
    "autocomp report runs/demo --out front.html --page mine --include my_folder",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="run directories, finished or not")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page (default: report.html in the first RUN)")
    parser.add_argument("--page", default="report", help="a name of `autocomp list dashboards`")
    parser.add_argument(
        "--include", action="append", type=Path, default=[], metavar="DIR", help="also look in this folder"
    )
    parser.add_argument("--no-texts", action="store_true", help="leave out the texts of the data set that cards show")
    parser.add_argument("--json", action="store_true", help="say what was written as JSON")


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    from autocomp.report.page import page_data, template_for, write_page

    file = args.out or args.runs[0] / "report.html"
    template = template_for(file, args.page, args.include)
    data = page_data(args.runs, texts=not args.no_texts, tell=patient())
    write_page(file, template, data)
    print_json(_written(file, data, args)) if args.json else print(file)
    return 0


def _written(file: Path, data: PageData, args: argparse.Namespace) -> Json:
    runs = [
        {
            "run": run["path"],
            "name": run["name"],
            "status": run["summary"]["status"],
            "members": len(run["summary"]["members"]),
            "candidates": run["trials"]["count"],
            "knee": run["knee"],
        }
        for run in data["runs"]
    ]
    return {"report": str(file.resolve()), "bytes": file.stat().st_size, "texts": not args.no_texts, "runs": runs}
