"""The plan as YAML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from autocomp.report.cards._subject import Subject


class _Dumper(yaml.SafeDumper):
    """Lists on one line: they have an entry a layer."""


def _in_line(dumper: yaml.SafeDumper, values: Sequence[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=True)


_Dumper.add_representer(list, _in_line)


def part(subject: Subject) -> str:
    """`technique: {option: value}` in the order in which they act, without what is unset; empty for a landmark."""
    steps = {s["technique"]: s["options"] for s in subject.plan.to_json()["steps"]}
    told = {name: {k: v for k, v in options.items() if v is not None} for name, options in steps.items()}
    return yaml.dump(told, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100) if told else ""
