"""`autocomp validate STUDY`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from autocomp.cli._flags import add_study_arguments, spec_of

SUMMARY = "check everything that `search` would check, and start nothing"
EXAMPLES = (
    "autocomp validate demo",
    "autocomp validate my_study.yaml --budget 2h",
    "autocomp validate --model DIR --task mails.csv --metric f1 --positive spam",
    "autocomp validate demo --json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_study_arguments(parser)
    parser.add_argument("--json", action="store_true", help="what was found, as JSON")


def run(args: argparse.Namespace) -> int:
    """Check a study; prints what was found."""
    spec = spec_of(args)
    from autocomp.study.run import check_study

    found = check_study(spec)
    from autocomp.cli._say import note, print_json

    if args.json:
        print_json(found)
        return 0
    print("\n".join(lines(found)))
    note("the study is valid; nothing was started")
    return 0


def lines(found: Mapping[str, Any], indent: str = "") -> list[str]:
    """Nested plain data as `key: value` lines."""
    out: list[str] = []
    for key, value in found.items():
        if value is None:
            continue
        if isinstance(value, Mapping):
            out += [f"{indent}{key}:", *lines(value, indent + "  ")]
        elif isinstance(value, list | tuple) and any(" " in str(item) for item in value):
            out += [f"{indent}{key}:", *(f"{indent}  - {item}" for item in value)]
        elif isinstance(value, list | tuple):
            out += [f"{indent}{key}: {', '.join(map(str, value))}"]
        else:
            out += [f"{indent}{key}: {value}"]
    return out
