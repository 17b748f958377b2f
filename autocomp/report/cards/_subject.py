"""What a part of a card may look at, each thing read when the first part asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from autocomp import strict_json
from autocomp.architectures import EncoderShape
from autocomp.artifact.files import MANIFEST
from autocomp.journal.member import StudentFacts
from autocomp.plan import CompressionPlan
from autocomp.report.cards._evidence import Evidence, Seen
from autocomp.report.cards._stored import Stored, stored
from autocomp.report.state import Member
from autocomp.strict_json import JsonView
from autocomp.techniques import PlannedModel, Technique, techniques


@dataclass(frozen=True)
class Subject:
    """One member of a run, or one of its landmarks."""

    run: Path
    member: Member
    evidence: Evidence | None
    texts: bool
    student: StudentFacts | None = None

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
    def model(self) -> PlannedModel | None:
        """What is known of the model before it has files; None where nobody knows the sizes.

        Sizes are from the weights that the run keeps, else from the journal, else (older runs) from what the plan's
        techniques declare; formats, zeros and exits from what those declare that act after recovery.
        """
        known = self._kept_student or self._journaled_student
        return planned_model(self.plan, known, lambda t: t.is_cheap) if known else self._planned_student

    @property
    def _kept_student(self) -> PlannedModel | None:
        folder = self.within("student")
        if folder is None or not (folder / "shape.json").is_file():
            return None
        known = _whole(_shape(folder / "shape.json"))
        if not (folder / "student.json").is_file():
            other = self._journaled_student or self._planned_student
            return replace(known, origin=other.origin if other else ())
        facts: JsonView = strict_json.loads((folder / "student.json").read_bytes())
        return known if facts.get("origin") is None else replace(known, origin=tuple(facts["origin"]))

    @property
    def _journaled_student(self) -> PlannedModel | None:
        if not self.student:
            return None
        return PlannedModel(EncoderShape.from_json(dict(self.student["shape"])), tuple(self.student["origin"]))

    @property
    def _planned_student(self) -> PlannedModel | None:
        if self.teacher_shape is None:
            return None
        model = planned_model(self.plan, _whole(self.teacher_shape))
        # Every student has an exit head after each of its layers but the last.
        return replace(model, shape=replace(model.shape, exits=tuple(range(1, model.shape.depth))))

    def within(self, key: Literal["path", "student"]) -> Path | None:
        """A folder that the member names, which lies in the run folder or does not count."""
        named = self.member.get(key)
        if not named:
            return None
        run, folder = self.run.resolve(), (self.run / named).resolve()
        return folder if folder.is_relative_to(run) else None


def planned_model(
    plan: CompressionPlan, model: PlannedModel, wanted: Callable[[Technique[Any]], bool] = lambda _: True
) -> PlannedModel:
    """A model as the techniques of a plan declare that they leave it; those not installed here leave it as it is.

    Args:
        model: as it is before.
        wanted: of which techniques the plan is followed.
    """
    for step in plan.steps:
        if step.technique in techniques and wanted(technique := techniques[step.technique]):
            model = technique.planned(model, technique.parse(step.options, name=step.technique))
    return model


def _whole(shape: EncoderShape) -> PlannedModel:
    return PlannedModel(shape, tuple(range(shape.depth)))


def _shape(file: Path) -> EncoderShape:
    return EncoderShape.from_json(strict_json.loads(file.read_bytes()))
