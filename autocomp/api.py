"""The Python door: search, resume, load, and a run as an object."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from autocomp.errors import EnvironmentFailure, NothingMeasured
from autocomp.strict_json import Json

if TYPE_CHECKING:
    from autocomp.artifact.loader import Predictor
    from autocomp.journal.events import Event
    from autocomp.journal.member import Member
    from autocomp.report.summary import Summary
    from autocomp.spec import Overrides, StudySpec

Listener = Callable[[Json], None]
Paths = str | os.PathLike[str]
JOURNAL = "journal.jsonl"
_TASK_KEYS = ("text", "pair", "label", "kind", "label_names", "metric", "max_length", "positive")


class Run:
    """A run directory, finished or not; every look reads the journal anew."""

    def __init__(self, path: Paths) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def summary(self) -> Summary:
        """What `autocomp show RUN --json` prints."""
        from autocomp.report.summary import summary

        return summary(self.path)

    @property
    def front(self) -> list[Member]:
        """The members, smallest first."""
        return list(self.summary["members"])

    @property
    def best(self) -> Member:
        """The member with the best score."""
        return self.pick("best")

    def pick(self, expression: str = "knee") -> Member:
        """One member: knee, fastest, smallest, best, an id, or limits such as `accuracy>=0.95,latency_ms<=2`.

        Raises:
            InputError: nothing fits; the nearest member is named.
        """
        from autocomp.report.pick import pick

        return pick(self.summary, expression)

    def export(self, pick: str, out: Paths, form: Literal["onnx", "checkpoint", "openvino"] = "onnx") -> Path:
        """Write one member to the new folder `out`.

        Args:
            form: `onnx` copies the measured files; `checkpoint` writes weights to train further, as a Hugging Face
                folder where the shape is regular, else for `load`; `openvino` writes files of that runtime.

        Raises:
            InputError: `out` exists, nothing fits, or the run has no files (or weights) of the member.
            MissingExtra: OpenVINO is not installed.
        """
        from autocomp.report.pick import export, files_of

        if form == "onnx":
            return export(self.pick(pick), Path(out))
        if form == "openvino":
            from autocomp.artifact.converting import convert_artifact

            convert_artifact(files_of(self.pick(pick)), Path(out), form)
            return Path(out)
        from autocomp.pipeline.checkpoint_export import export_checkpoint

        export_checkpoint(self.pick(pick), Path(out))
        return Path(out)

    def report(self, file: Paths) -> Path:
        """Write the run as one HTML page that needs no network."""
        from autocomp.report.page import write_report

        return write_report([self.path], Path(file))


def search(
    study: str | Paths | StudySpec | None = None,
    *,
    out: Paths,
    listen: Listener | None = None,
    ray: str | None = None,
    **overrides: Any,
) -> Run:
    """Run a study to its end and write `out/report.html`.

    Args:
        study: a shipped study's name, a YAML file, a StudySpec, or nothing when `overrides` say it all.
        out: the run directory; must not exist.
        listen: called with every journal event as it happens (and `progress`, which the journal does not keep).
        ray: None for worker processes on this machine; else a Ray cluster: `auto`, `local` or `HOST:PORT`.
        overrides: StudySpec keys (`model`, `task`, `budget` …) and the task's own (`text`, `pair`, `label` …).

    Raises:
        InputError: what `autocomp search` would refuse; nothing is started then.
    """
    from autocomp.spec import StudySpec, read_study
    from autocomp.study.run import run_study

    keys = _with_dotted_task_keys(overrides)
    if isinstance(study, StudySpec):
        spec = read_study(None, {**_with_dotted_task_keys(study.model_dump(exclude_unset=True)), **keys})
    else:
        spec = read_study(None if study is None else os.fspath(study), keys)
    return locked_run(Path(out), _as_json(listen), lambda emit: run_study(spec, Path(out), emit, ray))


def resume(
    out: Paths,
    listen: Listener | None = None,
    ray: str | None = None,
    *,
    accept_changes: bool = False,
    new_out: Paths | None = None,
) -> Run:
    """Go on with an interrupted run, if all that it began with is as it was; finished work is not repeated.

    Args:
        listen: called with every journal event as it happens.
        ray: as `search` takes it.
        accept_changes: where data, model, space, code or machine is another one now, start a new run of the same study
            from all that still holds, and leave `out` as it is.
        new_out: that new run's directory; by default `out` with the next free number.

    Returns:
        The run that was gone on with, or the new one.

    Raises:
        RunFolderError: `out` is not a run, or another process is at work on it.
        ChangedStudy: it began with something else, and `accept_changes` is not given.
    """
    from autocomp.errors import ChangedStudy
    from autocomp.study.run import resume_study, run_study

    try:
        return locked_run(Path(out), _as_json(listen), lambda emit: resume_study(Path(out), emit, ray))
    except ChangedStudy as changed:
        if not accept_changes:
            raise
        from autocomp.study.pins import spec_of

        spec, new = spec_of(Path(out)), Path(new_out or changed.new)
        return locked_run(new, _as_json(listen), lambda emit: run_study(spec, new, emit, ray))


def _as_json(listen: Listener | None) -> Callable[[Event], None] | None:
    """A listener of events that gives a user's listener the JSON object that the journal has."""
    return listen and (lambda event: listen(event.to_json()))


def locked_run(
    out: Path, listen: Callable[[Event], None] | None, work: Callable[[Callable[[Event], None]], Any]
) -> Run:
    """Do `work` while holding the run's lock, then write its page: shared by search and resume.

    Raises:
        EnvironmentFailure: the machine failed; the run can be resumed.
        NothingMeasured: the study ended, and not one candidate was measured.
    """
    from autocomp.report.lock import Lock
    from autocomp.report.page import write_report

    with Lock(out) as lock:

        def emit(event: Event) -> None:
            lock.take()
            if listen:
                listen(event)

        with _environment_failures(out):
            work(emit)
            write_report([out], out / "report.html")
    _check_some_candidate(out)
    return Run(out)


@contextmanager
def _environment_failures(out: Path) -> Iterator[None]:
    """Name the way out of what the system refused; a reader of ours that went away is no such failure."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, EnvironmentFailure) as error:
        kept = (
            f"; what is finished is kept: mend that, then `autocomp resume {out}`" if (out / JOURNAL).exists() else ""
        )
        raise EnvironmentFailure(f"{error}{kept}") from error


def _check_some_candidate(out: Path) -> None:
    from autocomp.report.summary import read_state

    state = read_state(out)
    if state.reason is None or state.count("complete"):
        return
    first = f", the first because of {state.failures[0]['error']}" if state.failures else ""
    raise NothingMeasured(
        f"{out}: no candidate was measured: {len(state.started)} jobs began, {state.count('failed')} candidates failed"
        f"{first}. The front is the teacher and its int8 export alone; give a longer budget, or mend what failed"
    )


def load(
    folder: Paths, threads: int = 1, optimized: Paths | bool = True, exit_threshold: float | str | None = None
) -> Predictor | Any:
    """What a folder holds, ready to use.

    An exported artifact gives a Predictor, which needs only onnxruntime, tokenizers and numpy. Weights to train
    further, which are no Hugging Face checkpoint, give a `Student` (`autocomp.models.student`): its `encoder` is a
    torch module in evaluation mode, its `tokenizer` a `tokenizers.Tokenizer`. docs/checkpoints.md shows both.

    Args:
        threads: of an artifact's engine; a student's are torch's own.
        optimized: whether an artifact's form from `autocomp optimize` is taken where it fits, or the folder of one.
        exit_threshold: instead of the one in an artifact with exits, as its rule means it; `"never"` runs all layers.

    Raises:
        InputError: a threshold for an artifact without exits, or one that its rule cannot have.
        ArtifactError: neither, or a damaged artifact.
        ModelError: a damaged student.
    """
    if (Path(folder) / "student.json").is_file() and not (Path(folder) / "manifest.json").exists():
        from autocomp.models.student import load_student

        return load_student(Path(folder))
    from autocomp.artifact.loader import load as load_artifact

    form = optimized if isinstance(optimized, bool) else Path(optimized)
    return load_artifact(Path(folder), threads, exit_threshold, optimized=form)


def open_run(path: Paths) -> Run:
    """A run directory as an object.

    Raises:
        RunFolderError: it has no journal.
    """
    run = Run(path)
    run.summary  # noqa: B018  (a wrong folder should fail here, not at the first use)
    return run


def _with_dotted_task_keys(overrides: Overrides) -> Overrides:
    flat: dict[str, object] = {}
    for key, value in overrides.items():
        if key == "task" and isinstance(value, Mapping):
            flat |= {f"task.{k}": v for k, v in value.items()}
        elif key == "task":
            flat["task.source"] = value
        else:
            flat[f"task.{key}" if key in _TASK_KEYS else key] = value
    return flat
