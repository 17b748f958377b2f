"""`autocomp export RUN`."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "copy one member of a front to a folder of its own"
EXAMPLES = (
    "autocomp export runs/demo --pick knee --out guard",
    "autocomp export runs/demo --pick 'accuracy>=0.95,latency_ms<=2' --out guard",
    "autocomp export runs/demo --pick m03 --out guard --json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="a run directory")
    parser.add_argument(
        "--pick",
        default="knee",
        metavar="WHICH",
        help="knee (default), fastest, smallest, best, an id, or limits such as 'accuracy>=0.95,latency_ms<=2' "
        "(score, latency_ms, latency_p95_ms, bytes, mb, times_smaller, times_faster): the best score within them",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder; never overwritten")
    parser.add_argument("--json", action="store_true", help="the member as JSON, its `path` the copy")


def run(args: argparse.Namespace) -> int:
    """Copy a member."""
    from autocomp.cli._say import command, millis, print_json, size
    from autocomp.report.export import export
    from autocomp.report.pick import pick
    from autocomp.report.summary import score_of, summary

    found = summary(args.run_folder)
    member = pick(found, args.pick)
    out = export(member, args.out)
    if args.json:
        print_json({**member, "path": str(out.resolve())})
        return 0
    score = "–" if score_of(member) is None else f"{score_of(member):.4f}"
    numbers = f"{size(member.get('bytes'))}, {millis(member.get('latency_ms'))}, {found['metric']} {score}"
    print(f"{out}: {member['id']} ({member.get('describe') or 'as it is'}): {numbers}")
    print(f"try it:  {command('predict', out, 'a text')}")
    return 0
