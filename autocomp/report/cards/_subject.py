"""What a part of a card may look at, each thing read when the first part asks for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from autocomp.artifact.files import MANIFEST
from autocomp.models.shape import EncoderShape
from autocomp.plan import CompressionPlan
from autocomp.report.cards._evidence import Evidence, Seen
from autocomp.report.cards._shape import kept_layers, shape_after
from autocomp.report.cards._stored import Stored, stored
from autocomp.report.state import Member


@dataclass(frozen=True)
class Subject:
    """One member of a run, or one of its landmarks."""

    run: Path
    member: Member
    evidence: Evidence | None
    texts: bool
    student: Mapping[str, Any] | None = None

    @property
    def id(self) -> str:
        """`m03`."""
        return str(self.member.get("id"))

    @property
    def seen(self) -> Seen | None:
        """What it did on the held-out split."""
        return self.evidence.models.get(self.id) if self.evidence else None

    @property
    def teacher(self) -> Seen | None:
        """What the teacher did there."""
        return self.evidence.models.get("teacher") if self.evidence else None

    @cached_property
    def plan(self) -> CompressionPlan:
        """Its plan; without steps for a landmark."""
        return CompressionPlan.from_json(self.member.get("plan") or {"steps": []})

    @cached_property
    def folder(self) -> Path | None:
        """Where its files lie, None while there are none."""
        folder = self.within("path")
        return folder if folder is not None and (folder / MANIFEST).is_file() else None

    @cached_property
    def stored(self) -> Stored | None:
        """What its files store, None while there are none."""
        return stored(self.folder) if self.folder else None

    @cached_property
    def teacher_shape(self) -> EncoderShape | None:
        """The teacher's sizes, from the evidence or from the weights that the run keeps."""
        if self.evidence and self.evidence.teacher_shape:
            return self.evidence.teacher_shape
        kept = sorted((self.run / "students").glob("teacher-*/shape.json"))
        return _shape(kept[0]) if kept else None

    @cached_property
    def shape(self) -> EncoderShape | None:
        """Its sizes: from the weights that the run keeps, else from the journal, else (older runs) from its plan."""
        folder = self.within("student")
        if folder is not None and (folder / "shape.json").is_file():
            return _shape(folder / "shape.json")
        if self.student:
            return EncoderShape.from_json(dict(self.student["shape"]))
        return shape_after(self.plan, self.teacher_shape) if self.teacher_shape else None

    @cached_property
    def origin(self) -> Sequence[int]:
        """The teacher's layer that each layer descends from, from 0; from the same places as its sizes."""
        folder = self.within("student")
        if folder is not None and (folder / "student.json").is_file():
            told = json.loads((folder / "student.json").read_text(encoding="utf-8")).get("origin")
            return range(self.shape.depth if self.shape else 0) if told is None else told
        if self.student:
            return list(self.student["origin"])
        return kept_layers(self.plan, self.teacher_shape.depth) if self.teacher_shape else ()

    def within(self, key: Literal["path", "student"]) -> Path | None:
        """A folder that the member names, which lies in the run folder or does not count."""
        named = self.member.get(key)
        if not named:
            return None
        run, folder = self.run.resolve(), (self.run / named).resolve()
        return folder if folder.is_relative_to(run) else None


def _shape(file: Path) -> EncoderShape:
    data: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return EncoderShape.from_json(dict(data))
