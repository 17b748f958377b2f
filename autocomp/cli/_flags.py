"""Flags that several verbs share: every key of a study, and how work is shown."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autocomp.spec import StudySpec

NAMES = "of labels 0, 1 … (or 1, 2 …), in their order; or which is which: 1=bad,2=good"
# flag, key of StudySpec, type, help
_FLAGS: tuple[tuple[str, str, Any, str], ...] = (
    ("--model", "model", str, "the teacher: a local folder, a hub id, or package:NAME"),
    ("--task", "task.source", str, "a name of `autocomp list tasks`, a file or folder, or a hub id such as glue/sst2"),
    ("--text", "task.text", str, "column of the text"),
    ("--pair", "task.pair", str, "column of the second text"),
    ("--label", "task.label", str, "column of the label, or columns of 0 and 1, one for each label: a,b,c"),
    (
        "--kind",
        "task.kind",
        str,
        "what is learnt, a name of `autocomp list heads`: one label, several, or a number (default: as the labels are)",
    ),
    ("--metric", "task.metric", str, "a name of `autocomp list metrics`"),
    (
        "--positive",
        "task.positive",
        str,
        "label that metric f1 is about, such as spam (default: a guess, which `autocomp validate` tells)",
    ),
    (
        "--max-length",
        "task.max_length",
        int,
        "tokens kept of a text, at most (default: as many as the longest has, if the model takes them)",
    ),
    ("--space", "space", str, "search space: a name of `autocomp list spaces`, or a YAML file"),
    ("--device", "device", str, "device profile: a name of `autocomp list devices`, or a YAML file"),
    ("--budget", "budget", str, "45m, 2h, 20cpu-minutes, 8gpu-hours, 40trials, or several joined by commas"),
    ("--searcher", "searcher", str, "a name of `autocomp list searchers`"),
    ("--workers", "workers", int, "worker processes; 0: one per free core"),
    (
        "--gpu-share",
        "gpu_share",
        float,
        "of a GPU, for each training, such as 0.25; 0: none (default: measured if the budget counts gpu-hours, else 0)",
    ),
    ("--seed", "seed", int, "of every random draw"),
    ("--members", "members", int, "members of the front, at most"),
    ("--teacher-epochs", "teacher_epochs", float, "passes over the data to fine-tune a model that is not"),
    ("--teacher-learning-rate", "teacher_learning_rate", float, "of that fine-tuning"),
    ("--summary", "summary", str, "one line to remember the study by"),
)


def add_study_arguments(parser: argparse.ArgumentParser) -> None:
    """STUDY and a flag for each of its keys."""
    parser.add_argument("study", metavar="STUDY", nargs="?", help="a name of `autocomp list studies`, or a YAML file")
    group = parser.add_argument_group("keys of the study (a flag overrides the file)")
    for flag, key, kind, text in _FLAGS:
        group.add_argument(flag, dest=key, type=kind, metavar=flag.lstrip("-").upper().replace("-", "_"), help=text)
    group.add_argument(
        "--objective", dest="objectives", action="append", metavar="OBJECTIVE", help="repeat for several"
    )
    group.add_argument("--label-names", dest="task.label_names", type=_words, metavar="A,B", help=NAMES)
    group.add_argument("--recovery-steps", dest="recovery_steps", type=_numbers, metavar="N,N", help="of each rung")
    group.add_argument(
        "--include", action="append", metavar="DIR", help="a folder with your own YAML; repeat for several"
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(","))


def spec_of(args: argparse.Namespace) -> StudySpec:
    """The study that the command line says.

    Raises:
        InputError: as `read_study`; also when neither STUDY nor --model and --task are given.
    """
    from autocomp.spec import read_study

    keys = [key for _, key, _, _ in _FLAGS] + ["objectives", "task.label_names", "recovery_steps"]
    given = {key: getattr(args, key) for key in keys if getattr(args, key) is not None}
    return read_study(args.study, given, args.include or ())


def add_ray_argument(parser: argparse.ArgumentParser) -> None:
    """On which cluster."""
    parser.add_argument(
        "--ray",
        metavar="auto|local|ADDRESS",
        help="run on Ray: the cluster of this machine or else a new one, a new one here, or HOST:PORT "
        "(default: worker processes on this machine, no server)",
    )


def add_progress_arguments(parser: argparse.ArgumentParser) -> None:
    """How the work is shown."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--quiet", action="store_true", help="show no progress")
    group.add_argument("--log", action="store_true", help="progress as plain lines (the default without a terminal)")
    group.add_argument("--json-events", action="store_true", help="every event as a JSON line on stdout, nothing else")
