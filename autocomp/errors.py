"""What can go wrong, as one tree.

    AutocompError
     ├ InputError             something a person gave is wrong; exit status 2
     │  ├ SpecError             in a YAML file or flag (carries file, key, rule, value)
     │  ├ UnknownName           no such technique, task, device … (carries near matches)
     │  ├ DataError             a data set that cannot be used
     │  ├ ModelError            a model that cannot be imported
     │  ├ BudgetError           a budget that cannot be parsed, or that nothing would be charged to
     │  ├ RunFolderError        a run directory that exists, is missing or is not a run
     │  ├ ChangedStudy          what a run was begun with is not there any more (carries what changed)
     │  ├ ArtifactError         a file that is not an artifact, or is damaged
     │  ├ ClusterError          a cluster that cannot be reached or used, or is gone
     │  ├ GpuError              GPUs are wanted where none can be used
     │  └ MissingExtra          an optional package is absent (carries the pip line)
     ├ EnvironmentFailure     the machine failed, not a candidate: the study stops and can be resumed; exit status 1
     ├ NothingMeasured        a study ended without a single measured candidate; exit status 1
     └ TrialError             one candidate failed; recorded, never ends a study
        ├ InfeasiblePlan        its steps cannot be combined or leave nothing
        ├ TrainingDiverged      the loss is not a number
        ├ ExportMismatch        the file does not compute what the student computes
        └ MeasurementError      a number that cannot be taken

Every message states the rule, the value given, where it stands and the way out.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

MOST_LISTED = 40
"""Known names that a message lists; of more, only the first few."""
FEW = 10


def near_matches(name: str, known: Iterable[str]) -> list[str]:
    """At most three known names that look like a name."""
    return difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean 'depth'? `, empty when nothing is near."""
    near = near_matches(name, known)
    return f"did you mean {', '.join(map(repr, near))}? " if near else ""


def short_repr(value: object, most: int = 60) -> str:
    """A value as a message shows it: on one line, in quotes if it is text, the rest of a long one cut."""
    # of a long text or list only the beginning is ever written out: it may be a whole column
    head = value[: most + 1] if isinstance(value, str | bytes | list | tuple) else value
    if isinstance(value, dict):
        head = dict(itertools.islice(value.items(), 3))
    text = repr(head)
    cut = len(text) > most + 2 or (isinstance(value, dict) and len(value) > 3)
    return f"{text[:most]}…" if cut else text


def listed(values: Iterable[object], most: int = FEW, length: int = 40) -> str:
    """Names as a message lists them: the first few, each cut where it is long, and how many more there are."""
    every = [str(value) for value in values]
    few = [(name if len(name) <= length else f"{name[:length]}…").translate(_ONE_LINE) for name in every[:most]]
    more = [f"… ({len(every) - most:,} more)"] if len(every) > most else []
    return ", ".join([*few, *more])


_ONE_LINE = {ord(letter): " " for letter in "\n\r\t\v\f\x00\x85\u2028\u2029"}


class AutocompError(Exception):
    """Base of every error autocomp raises on purpose."""


class InputError(AutocompError):
    """Something a person gave is wrong. The command line exits with status 2."""


class SpecError(InputError):
    """A value in a YAML file or a flag breaks a rule.

    Args:
        source: the file (or `command line`) in which it stands.
        key: dotted path of the key, `space.depth.layers`.
        rule: the rule as an expression or sentence.
        value: what was given.
    """

    def __init__(self, source: str, key: str, rule: str, value: object = None) -> None:
        given = "" if value is None else f", got {value!r}"
        super().__init__(f"{source}: {key}: {rule}{given}")
        self.source, self.key, self.rule, self.value = source, key, rule, value


class UnknownName(InputError):
    """A name that no registered thing has; the message lists near matches and all names, or some of very many."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        listed = ", ".join(known if len(known) <= MOST_LISTED else [*known[:FEW], "…"])
        super().__init__(f"no {kind} {name!r}; {did_you_mean(name, known)}({len(known):,} known: {listed})")
        self.kind, self.name, self.near = kind, name, near_matches(name, known)


class DataError(InputError):
    """A data set is empty, unreadable, single-class, or lacks a column."""


class ModelError(InputError):
    """A model folder or hub id is not an encoder we can import."""


class BudgetError(InputError):
    """A budget cannot be parsed, or nothing would ever be charged to it."""


class RunFolderError(InputError):
    """A run directory exists already, is missing, or is not a run."""


class ChangedStudy(InputError):
    """What a run was begun with is not there any more: its data, model, space, code or machine is another one.

    Args:
        run: the run directory.
        new: where a new run would begin.
        changes: what changed, each in words.
    """

    def __init__(self, run: Path, new: Path, changes: Sequence[str]) -> None:
        rule = "results of before and after a change would stand on one front, so it is not gone on with"
        way_out = f"put back what it began with, or start {new} from what still holds: resume {run} --accept-changes"
        super().__init__(f"{run}: {rule}. Changed: {'; '.join(changes)}. The way out: {way_out}")
        self.run, self.new, self.changes = run, new, tuple(changes)


class ArtifactError(InputError):
    """A folder is not an artifact, or its files do not match its manifest."""


class ClusterError(InputError):
    """A Ray cluster cannot be reached, cannot run this study, or has gone."""


class GpuError(InputError):
    """A study wants GPUs, and none is there that PyTorch can use."""

    way_out = "install a PyTorch built for it (https://pytorch.org/get-started), or use cpu-hours and no --gpu-share"


class MissingExtra(InputError):
    """An optional package is absent; the message is the pip line that installs it."""

    def __init__(self, extra: str, what: str) -> None:
        super().__init__(f"{what} needs an extra: pip install 'autocomp[{extra}]'")
        self.extra = extra


class EnvironmentFailure(AutocompError):
    """The machine failed and not a candidate: a full disk, a file that may not be read, workers that cannot start."""


class NothingMeasured(AutocompError):
    """A study ended and not one of its candidates was measured: its front is the teacher and its int8 export."""


_OF_THE_SYSTEM = re.compile(
    r"os error \d+|No space left on device|Disk quota exceeded|Read-only file system|Too many open files"
)


def environment_error(error: BaseException) -> OSError | None:
    """The system's error behind an error, or None if there is none.

    An error counts if it is an OSError, if it was raised from one, or if a library that has errors of its own
    (safetensors, tokenizers, ONNX Runtime) quotes the system in its message.
    """
    for one in _with_causes(error):
        if isinstance(one, OSError):
            return one
        if _OF_THE_SYSTEM.search(str(one)):
            return OSError(f"{type(one).__name__}: {one}")
    return None


def raise_if_environment(error: BaseException) -> None:
    """Let out what says nothing of a trial: with a full disk all later ones would fail too.

    Raises:
        OSError: the system's error behind `error`, if there is one.
    """
    cause = environment_error(error)
    if cause:
        raise cause from error


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what it was raised from, and so on."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


class TrialError(AutocompError):
    """One candidate failed. It becomes a record with a reason; the study goes on."""


class InfeasiblePlan(TrialError):
    """The steps of a plan cannot be combined, or leave nothing of the model."""


class TrainingDiverged(TrialError):
    """The loss became NaN or infinite."""


class ExportMismatch(TrialError):
    """The exported file does not compute what the PyTorch student computes."""


class MeasurementError(TrialError):
    """A number could not be taken: nothing ran, or the system does not give it. A disturbed one is marked instead."""
