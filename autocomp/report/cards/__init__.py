"""What a member's card shows. One file a part: a function from what is known of a member to plain data, or None.

A part that the run does not know (a running study, a run of an older version, files that were removed) is None.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from autocomp.journal.member import StudentFacts
from autocomp.registry import Registry
from autocomp.report.cards._evidence import Evidence, evidence_of, read_evidence
from autocomp.report.cards._subject import Subject
from autocomp.report.state import Member
from autocomp.strict_json import Json

Part = Callable[[Subject], Any]

parts: Registry[Part] = Registry("part of a card", "autocomp.report.cards", "part")

__all__ = ["Evidence", "Part", "Subject", "card", "evidence_of", "parts", "read_evidence"]


def card(
    run: Path,
    member: Member,
    evidence: Evidence | None,
    texts: bool = True,
    student: StudentFacts | None = None,
) -> Json:
    """Everything that a card shows of a member or landmark; docs/command-line.md has the keys.

    Nothing that lies in the run folder makes it raise: a part that cannot be made is None, and `notes` say why.

    Args:
        run: the run directory, wherever it lies now.
        member: as a summary has it, or the journal.
        texts: whether texts of the data set may be shown.
        student: `shape` and `origin` of its student, as the journal has them; None in older runs.
    """
    subject = Subject(Path(run), member, evidence, texts, student)
    made, notes = {}, list(evidence.notes) if evidence else []
    for name in parts:
        try:
            made[name] = parts[name](subject)
        except Exception as error:  # files may be of anybody's making, and the other parts may be good
            made[name] = None
            notes.append(f"{name} cannot be shown: {error or type(error).__name__}")
    notes = list(dict.fromkeys(notes))
    return {"id": member.get("id"), "describe": member.get("describe") or "", **made, "notes": notes}
