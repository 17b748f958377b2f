"""Stages: results addressed by the content of all that made them, so that nothing is computed twice.

A stage is a folder `STORE/kind-key/` with files and a `stage.json`. The key hashes the kind, its inputs (keys of parent
stages, options, data) and the code that makes it, so equal work is shared across trials, workers, resumes and studies.
No stage holds a time by which anything is steered: times are of a run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypedDict

from autocomp import strict_json
from autocomp.plan import fingerprint
from autocomp.sources import code_of
from autocomp.storage import first_folder

CODE = {
    "data": "autocomp.pipeline.context",
    "teacher": "autocomp.pipeline.teacher",
    "knowledge": "autocomp.pipeline.teacher",
    "baseline": "autocomp.pipeline.baselines",
    "student": "autocomp.pipeline.students",
    "artifact": "autocomp.pipeline.export",
}
"""The module that makes each kind of stage: it and all that it imports decide what the stage holds (`sources.py`)."""
Inputs = Mapping[str, Any]
"""What a stage is made of, as JSON that its key hashes: keys of parent stages, options, data; each kind has its own."""
Facts = Mapping[str, Any]
"""What is known of a finished stage, as JSON; each kind has its own."""


class _StageRecord(TypedDict):
    """The content of a stage's `stage.json`."""

    kind: str
    inputs: Inputs
    seconds: float
    facts: Facts


@cache
def code_version(kind: str) -> str:
    """Hash of the code, plug-ins and library versions that decide what a stage of this kind holds."""
    return code_of(CODE[kind])


def code_versions() -> dict[str, str]:
    """`code_version` of every kind: two machines on which all are equal make equal stages for equal keys."""
    return {kind: code_version(kind) for kind in CODE}


def default_store() -> Path:
    """`$AUTOCOMP_CACHE`, or `~/.cache/autocomp`, sub-folder `stages`."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("AUTOCOMP_CACHE") or home / "autocomp") / "stages"


@dataclass(frozen=True)
class CachedResult:
    """A finished stage: its key, its folder, facts about it, and whether it was there already."""

    key: str
    folder: Path
    facts: Facts
    was_cached: bool


class ResultCache:
    """The stages in one folder; several processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)

    def key(self, kind: str, inputs: Inputs) -> str:
        """The name that a stage of these inputs has."""
        return f"{kind}-{fingerprint({'kind': kind, 'inputs': inputs, 'code': code_version(kind)})}"

    def folder(self, key: str) -> Path:
        """Where a stage lies, whether or not it exists."""
        return self.root / key

    def find(self, key: str) -> CachedResult | None:
        """A finished stage, or None."""
        return self._read(key, was_cached=True) if (self.folder(key) / "stage.json").is_file() else None

    def inputs(self, key: str) -> Inputs:
        """What a finished stage was made of."""
        return dict(self._record(key)["inputs"])

    def facts(self, key: str) -> Facts:
        """What is known of a finished stage."""
        return dict(self._record(key)["facts"])

    def seconds(self, key: str) -> float:
        """How long a finished stage took to build."""
        return float(self._record(key)["seconds"])

    def _read(self, key: str, was_cached: bool) -> CachedResult:
        return CachedResult(key, self.folder(key), self._record(key)["facts"], was_cached)

    def _record(self, key: str) -> _StageRecord:
        record: _StageRecord = strict_json.loads((self.folder(key) / "stage.json").read_text(encoding="utf-8"))
        return record

    def make(self, kind: str, inputs: Inputs, build: Callable[[Path], Facts | None]) -> CachedResult:
        """The stage, built now if it is not there.

        `build` writes files into the folder it is given and returns JSON facts. The folder takes its name only when
        it is complete; if another process was first, its result is taken, as one that was there.
        """
        key = self.key(kind, inputs)
        cached = self.find(key)
        if cached:
            return cached

        def write(scratch: Path) -> None:
            started = time.time()
            facts = dict(build(scratch) or {})
            seconds = round(time.time() - started, 3)
            record: _StageRecord = {"kind": kind, "inputs": inputs, "seconds": seconds, "facts": facts}
            (scratch / "stage.json").write_text(strict_json.dumps(record, default=list), encoding="utf-8")

        was_first = first_folder(self.folder(key), write, "stage.json")
        return self._read(key, was_cached=not was_first)
