"""`autocomp optimize DIR`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

SUMMARY = "write beside an exported model a form that loads faster on this machine"
EXAMPLES = ("autocomp optimize guard", "autocomp optimize guard --out /var/cache/guard-optimized --json")
LOADS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", metavar="DIR", type=Path, help="an exported model: autocomp export, or RUN/front/ID")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="another folder than DIR/optimized, which `autocomp.load` takes by itself; give it as `optimized` there",
    )
    parser.add_argument("--json", action="store_true", help="one object (keys: docs/command-line.md)")


def run(args: argparse.Namespace) -> int:
    """Write the form and time both."""
    from autocomp.artifact.compiled import form_bytes, write_optimized
    from autocomp.artifact.files import artifact_bytes
    from autocomp.cli._say import millis, print_json, size

    made = write_optimized(args.folder, args.out)
    portable, optimized = load_times(args.folder, made)
    found: dict[str, Any] = {
        "artifact": str(args.folder),
        "optimized": str(made),
        "bytes": artifact_bytes(args.folder),
        "optimized_bytes": form_bytes(made),
        "load_ms": portable,
        "optimized_load_ms": optimized,
    }
    if args.json:
        print_json(found)
        return 0
    print(f"{made}: {size(found['optimized_bytes'])}, for this machine only and no part of the artifact's size")
    print(
        f"loads in {millis(optimized)} instead of {millis(portable)} (median of {LOADS}, tokenizer and checks included)"
    )
    return 0


def load_times(folder: Path, made: Path) -> tuple[float, float]:
    """Median milliseconds to load the artifact as it is, and with its optimized form, in turns."""
    from statistics import median

    from autocomp.artifact.loader import load
    from autocomp.timing import once

    def taken(optimized: Path | bool) -> float:
        return once(lambda: load(folder, optimized=optimized))[1]

    turns = [(taken(False), taken(made)) for _ in range(LOADS)]
    return median(t[0] for t in turns), median(t[1] for t in turns)
