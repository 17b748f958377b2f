"""What a job has to find where it runs and what it leaves; how a study is seen from another machine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autocomp.executors import Data
from autocomp.pipeline.context import FILE, context_keys
from autocomp.storage import write_atomically

IN_CONTEXT = ("data", "teacher", "knowledge", "baseline")


def context_needs(job: Data) -> list[str]:
    """Stages that every job of a study reads."""
    keys = context_keys(Path(job["run"]))
    return [str(getattr(keys, name)) for name in IN_CONTEXT]


def trial_needs(job: Data) -> list[str]:
    """The same, and the student that recovery goes on from."""
    return [*context_needs(job), *([job["parent"]] if job.get("parent") else [])]


def trial_made(job: Data, result: Data) -> list[str]:
    """The student and the files of its plans."""
    student = result["facts"].get("student")
    artifacts = [r["artifact"] for r in result["records"] if r.get("artifact")]
    return list(dict.fromkeys([*([student] if student else []), *artifacts]))


def scoring_needs(job: Data) -> list[str]:
    """What every job of a study reads, and the recovered student."""
    return [*context_needs(job), str(job["recovered"]["student"])]


def artifact_needs(job: Data) -> list[str]:
    """Stages of `artifacts`, a mapping of names to keys."""
    return [*context_needs(job), *job["artifacts"].values()]


def card(run: Path) -> dict[str, Any]:
    """What another machine has to know of a study; empty before its context is written."""
    file = run / FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def mirror(known: Mapping[str, Any], store: Path, folder: Path) -> Path:
    """A run directory on another machine, with stages in a store of its own: enough for `open_context`."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**known, "store": str(store)})
    if known and (not (folder / FILE).is_file() or (folder / FILE).read_text(encoding="utf-8") != text):
        write_atomically(folder / FILE, text)
    return folder


def keys_of(chosen: Sequence[Any]) -> dict[str, str]:
    """Stage of each record's files."""
    return {record.id: record.artifact or "" for record in chosen}
