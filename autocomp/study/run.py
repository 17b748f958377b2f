"""One study from spec to front: Preparation, Search, Finish; from the journal alone if it was interrupted."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from autocomp.environment import machine_facts, versions
from autocomp.journal import Journal, read_events
from autocomp.journal.events import GpusShared, ResourcesCharged, StudyBegun, StudyFinished, StudyResumed
from autocomp.journal.file import Listener
from autocomp.pipeline.jobs import GPU_TRIALS, TRIALS
from autocomp.report.summary import Summary, summary
from autocomp.result_cache import default_store
from autocomp.spec import StudySpec
from autocomp.storage import write_atomically
from autocomp.study.budget_tracker import BudgetTracker
from autocomp.study.finish import Finish
from autocomp.study.pins import check_unchanged, pins, spec_of
from autocomp.study.preparation import OpenRun, Preparation
from autocomp.study.search import Search
from autocomp.study.validate import Checked, check, check_study, data_facts, new_run, with_absolute_paths
from autocomp.study.workers import open_pool

if TYPE_CHECKING:
    from autocomp.executors import WorkerPool

__all__ = ["check_study", "resume_study", "run_study"]


def run_study(spec: StudySpec, out: Path, listen: Listener | None = None, ray: str | None = None) -> Summary:
    """Search; leaves a run directory with journal and front, and returns its summary.

    Args:
        ray: None for worker processes on this machine; else the cluster: `auto`, `local` or an address.

    Raises:
        InputError: something in the spec is wrong, or the cluster is; there is no run directory then.
    """
    if Path(out).exists():
        new_run(out)
    checked = check(spec)
    with open_pool(checked, ray) as workers:
        folder, spec = new_run(out), with_absolute_paths(spec)
        write_atomically(folder / "study.json", spec.model_dump_json(indent=1))
        journal = Journal(folder / "journal.jsonl", listen)
        journal.append(study_begun(checked, spec, folder, workers))
        return complete(open_run(folder, checked, journal, workers, listen))


def resume_study(out: Path, listen: Listener | None = None, ray: str | None = None) -> Summary:
    """Go on with an interrupted study, on any workers; a finished one is only summarised.

    Raises:
        RunFolderError: not a run directory.
        ChangedStudy: it began with other data, another model, space, code or machine; nothing is started.
        InputError: the cluster cannot be used.
    """
    folder = Path(out).resolve()
    spec = spec_of(folder)
    if any(read_events(folder / "journal.jsonl", StudyFinished)):
        return summary(folder)
    checked = check(spec)
    check_unchanged(folder, checked, is_local=ray is None)
    times = (e.at or 0.0 for e in read_events(folder / "journal.jsonl") if not isinstance(e, StudyResumed))
    last = max(times, default=0.0)
    with open_pool(checked, ray) as workers:
        journal = Journal(folder / "journal.jsonl", listen)
        journal.append(StudyResumed(crew=workers.facts()))
        run = open_run(folder, checked, journal, workers, listen)
        charge_interrupted(run, last)
        return complete(run)


def study_begun(checked: Checked, spec: StudySpec, folder: Path, workers: WorkerPool) -> StudyBegun:
    """What a journal says at its beginning."""
    return StudyBegun(
        spec=spec.model_dump(mode="json"),
        data=data_facts(checked.data),
        objectives=[o.model_dump(mode="json") for o in checked.objectives],
        knobs={name: list(knob.values) for name, knob in checked.space.knobs.items()},
        machine=machine_facts(),
        versions=versions(),
        out=str(folder),
        crew=workers.facts(),
        made_of=pins(checked),
    )


def open_run(
    folder: Path, checked: Checked, journal: Journal, workers: WorkerPool, listen: Listener | None = None
) -> OpenRun:
    """A run that these workers work for from now on, its budget as the journal left it.

    GPUs are held as the study held them when it was interrupted: by all its trials, or one while the teacher is made.
    """
    workers.serve(folder, default_store())
    shares = [e.held for e in journal.events(GpusShared)]
    gpus = float(shares[-1]) if shares else float(checked.spec.wants_gpus)
    budget = BudgetTracker(checked.budget, journal, workers.cores, gpus)
    return OpenRun(folder, checked, journal, workers, budget, listen)


def charge_interrupted(run: OpenRun, last: float) -> None:
    """Charge what a study held between its last charge and its end.

    Args:
        last: when its last event was written, seconds since 1970.
    """
    charged = [e.at or 0.0 for e in run.journal.events(ResourcesCharged)]
    began = next(run.journal.events(StudyBegun)).at or 0.0
    run.budget.charge_lost(run.folder, since=max([began, *charged]), last=last)


def complete(run: OpenRun) -> Summary:
    """Prepare, search and finish; the summary of the run."""
    prepared = Preparation(run).prepare()
    share = prepared.gpu_share
    with run.workers.executor(GPU_TRIALS if share else TRIALS, share=share) as executor:
        run.budget.gpus = executor.gpu_share * max(1, executor.workers)
        search = Search.of(run, prepared, executor)
        search.replay()
        reason = search.go()
    Finish(run, prepared, search).write()
    run.journal.append(StudyFinished(reason=reason))
    shutil.rmtree(run.folder / "work", ignore_errors=True)
    return summary(run.folder)
