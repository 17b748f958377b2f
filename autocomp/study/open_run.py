"""A run folder that a study is writing, and what the study has to work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autocomp.journal.events import JobProgressed, WarningGiven
from autocomp.pipeline.jobs import teller

if TYPE_CHECKING:
    from autocomp.executors import WorkerPool
    from autocomp.journal import Journal
    from autocomp.journal.file import Listener
    from autocomp.spec import StudySpec
    from autocomp.study.budget_tracker import BudgetTracker
    from autocomp.study.validate import Checked


@dataclass(frozen=True)
class OpenRun:
    """A study that is going on: Preparation, Search and Finish take one each.

    Attributes:
        folder: the run directory.
        checked: the study with everything that it names.
        journal: to which everything is written first.
        workers: who does the jobs.
        budget: what was spent and what is left.
        listen: is told of every event, and of progress that no journal keeps.
    """

    folder: Path
    checked: Checked
    journal: Journal
    workers: WorkerPool
    budget: BudgetTracker
    listen: Listener | None = None

    @property
    def spec(self) -> StudySpec:
        """What the user asked for."""
        return self.checked.spec

    def warn(self, text: str) -> None:
        """Tell the journal, and whoever listens, what is not as it should be."""
        self.journal.append(WarningGiven(text=text))

    def progress(self, text: str) -> Callable[[float], None]:
        """A function that tells how far the teacher is.

        It tells the listener, and a file that shows for how long the study lived if it is killed.
        """
        write = teller(self.folder, "teacher")

        def tell(fraction: float) -> None:
            write(text, fraction)
            if self.listen:
                self.listen(JobProgressed(job="teacher", text=text, fraction=round(fraction, 3)))

        return tell
