"""What a user types to take it away, to use it, and to time it."""

from __future__ import annotations

from autocomp.environment import command
from autocomp.report.cards._subject import Subject


def part(subject: Subject) -> dict[str, str] | None:
    """Command lines; None while there are no files to take."""
    if subject.folder is None:
        return None
    run = subject.run.resolve()
    return {
        "export": command("export", run, "--pick", subject.id, "--out", subject.id),
        "predict": command("predict", subject.id, "a text"),
        "benchmark": command("benchmark", run / "teacher", subject.id),
    }
