"""Where the bytes of the files are."""

from __future__ import annotations

from collections import Counter
from typing import TypedDict

from autocomp.artifact.files import MANIFEST, TOKENIZER
from autocomp.report.cards._subject import Subject

ORDER = ("embeddings", "attention", "feed_forward", "norms", "head", "exits", "tokenizer", "graph", "manifest")


class PartSize(TypedDict):
    """Bytes of one part of the files: of `embeddings`, `attention` …"""

    part: str
    bytes: int


class Sizes(TypedDict):
    """Bytes of all files, of all packed by gzip (None where nobody measured), and by part those that are there."""

    total: int
    gzip: int | None
    parts: list[PartSize]


def part(subject: Subject) -> Sizes | None:
    """Bytes of all files by part, those that are there, and of all of them packed by gzip; None without files."""
    if subject.stored is None:
        return None
    files = subject.stored.files
    total = sum(files.values())
    found = Counter({"tokenizer": files[TOKENIZER], "manifest": files[MANIFEST]})
    for weight in subject.stored.weights:
        found[place_of(weight.layer)] += weight.nbytes
    found["graph"] += total - sum(found.values())  # operators, constants, and names
    listed: list[PartSize] = [{"part": name, "bytes": found[name]} for name in ORDER if found[name]]
    return {"total": total, "gzip": subject.member.get("gzip_bytes"), "parts": listed}


def place_of(layer: str) -> str:
    """The part of the model that a layer belongs to; what is none of them counts to the graph."""
    words = layer.split(".")
    if words[-1] == "norm" or words[-1].endswith("_norm"):
        return "norms"
    place = words[2] if words[0] == "blocks" and len(words) > 2 else words[0]
    return place if place in ORDER else "graph"
