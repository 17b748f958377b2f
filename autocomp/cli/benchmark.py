"""`autocomp benchmark DIR [DIR...]`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocomp.errors import InputError

if TYPE_CHECKING:
    from autocomp.artifact.loader import Predictor
    from autocomp.measurement import Measurement

SUMMARY = "time exported models in turns on this machine: latency at batch 1, load time, bytes"
EXAMPLES = (
    "autocomp benchmark guard --tokens 32",
    "autocomp benchmark runs/demo/teacher runs/demo/plain_int8 guard --texts texts.txt --rounds 50",
    "autocomp benchmark guard --threads 2 --json",
    "autocomp benchmark guard --texts texts.txt --exit-threshold never",
    "autocomp benchmark guard --runtime all",
)
WORDS = "this text was made to be as long as it has to be and says nothing else about its subject than that "
MOST_TEXTS = 200


@dataclass(frozen=True)
class Subject:
    """One artifact in one runtime, loaded and with its inputs prepared."""

    folder: str
    runtime: str
    predictor: Predictor
    inputs: list[Any]
    load_ms: float

    @property
    def name(self) -> str:
        """Its key among the times."""
        return f"{self.folder} in {self.runtime}"

    @property
    def has_exits(self) -> bool:
        """Whether a text may leave before the last layer."""
        return bool(self.predictor.manifest.get("exits"))

    def depths(self) -> list[int]:
        """Layers that ran on each input."""
        return [self.predictor.run(given)[1] for given in self.inputs]

    def once(self, index: int) -> object:
        """One request."""
        return self.predictor.run(self.inputs[index])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folders", metavar="DIR", nargs="+", type=Path, help="exported models; ratios are to the first")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--texts", type=Path, metavar="FILE", help=f"real texts, one a line (the first {MOST_TEXTS} are used)"
    )
    length.add_argument(
        "--tokens", type=int, default=32, metavar="N", help="one made-up input of N tokens (default 32)"
    )
    parser.add_argument("--pairs", action="store_true", help="every line of FILE is TEXT<tab>PAIR")
    parser.add_argument("--threads", type=int, default=1, help="of the engine (default 1)")
    parser.add_argument(
        "--runtime",
        metavar="NAME",
        help="onnxruntime, openvino, or all that are installed; default: the one that each DIR is written for",
    )
    parser.add_argument(
        "--exit-threshold",
        metavar="T",
        help="when to leave, for the DIRs that have exits, as their rules mean it; never: run all layers",
    )
    parser.add_argument("--rounds", type=int, default=30, help="timed rounds (default 30)")
    parser.add_argument("--json", action="store_true", help="one object a model as JSON")


def run(args: argparse.Namespace) -> int:
    """Time the artifacts and print a table."""
    from autocomp.cli._say import DISTURBED, print_json, text_table
    from autocomp.measures.latency import is_disturbed, latency, time_interleaved, time_steadily

    for name in ("tokens", "threads", "rounds"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name} must be at least 1, got {getattr(args, name)}")
    if len({folder.resolve() for folder in args.folders}) < len(args.folders):
        raise InputError("a folder is named twice; give each once")
    subjects = [prepare(f, runtime, args) for f in args.folders for runtime in runtimes_for(f, args.runtime)]
    if args.exit_threshold is not None and not any(s.has_exits for s in subjects):
        raise InputError(f"--exit-threshold {args.exit_threshold}: none of the folders has exits; leave it out")
    count = len(subjects[0].inputs)
    runs = {s.name: s.once for s in subjects}
    times = time_steadily(lambda: time_interleaved(runs, args.rounds, warmup=3, inputs=count))
    results = [as_data(s, latency(times[s.name], disturbed=is_disturbed(times, s.name))) for s in subjects]
    results = [{**r, **ratios(r, results[0])} for r in results]
    if args.runtime:
        results.sort(key=lambda r: r["latency_ms"])
    if args.json:
        print_json(results)
        return 0
    what = f"{count} texts of {args.texts}" if args.texts else f"one input of {args.tokens} tokens"
    print(f"{what}, batch 1, {args.threads} threads, {args.rounds} rounds in turns")
    print(text_table(HEAD, [row(r) for r in results], ("artifact", "runtime")))
    disturbed = [DISTURBED] if any(r["latency_disturbed"] for r in results) else []
    for line in [*disturbed, *exits_taken(results), *faster_ones(results)]:
        print(line)
    return 0


def runtimes_for(folder: Path, asked: str | None) -> list[str]:
    """The runtimes to open a folder in: its own, the one asked for, or `all` that are installed and can.

    Raises:
        UnknownName: there is no such runtime.
    """
    from autocomp.artifact.files import MODEL, model_files
    from autocomp.artifact.runtimes import runtimes
    from autocomp.cli._say import note

    own = [name for name in runtimes if runtimes[name].files == model_files(folder)]
    if asked != "all":
        return [asked] if asked else own
    absent = [name for name in runtimes if runtimes[name].version() is None]
    for name in absent:
        note(f"{name} is not installed and left out: pip install 'autocomp[{name}]'")
    return [name for name in runtimes if name not in absent] if MODEL in model_files(folder) else own


def faster_ones(results: list[dict[str, Any]]) -> list[str]:
    """For each artifact that ran in several runtimes, which is the faster and by how much."""
    said = []
    for folder in dict.fromkeys(r["artifact"] for r in results):
        first, *others = sorted((r for r in results if r["artifact"] == folder), key=lambda r: r["latency_ms"])
        for other in others:
            slower = f"{other['runtime']} takes {other['latency_ms'] / first['latency_ms']:.2f} times as long"
            said.append(f"{folder}: {first['runtime']} is the faster one here, {slower}")
    return said


def exits_taken(results: list[dict[str, Any]]) -> list[str]:
    """For each artifact with exits, the part of the inputs that ran how many layers."""
    said = []
    for one in {r["artifact"]: r for r in results if r["exit_rule"]}.values():
        parts = ", ".join(f"{share:.0%} after {depth}" for depth, share in one["exit_depths"].items())
        said.append(f"{one['artifact']}: {one['layers']:.2f} layers a text ({one['exit_rule']}): {parts}")
    return said


def prepare(folder: Path, runtime: str, args: argparse.Namespace) -> Subject:
    """Load an artifact and prepare its inputs.

    Raises:
        ArtifactError: not an artifact. InputError: no texts, or more tokens than it takes.
        MissingExtra: the runtime is not installed.
    """
    from autocomp.artifact.files import read_manifest
    from autocomp.artifact.loader import load
    from autocomp.timing import once

    threshold = args.exit_threshold if read_manifest(folder).get("exits") else None
    predictor, load_ms = once(lambda: load(folder, args.threads, threshold, runtime=runtime))
    inputs = _real(predictor, args.texts, args.pairs) if args.texts else [made_up(predictor, args.tokens, str(folder))]
    return Subject(str(folder), runtime, predictor, inputs, load_ms)


def _real(predictor: Predictor, file: Path, pairs: bool) -> list[Any]:
    from itertools import islice

    from autocomp.cli._texts import read_texts

    texts = list(islice(read_texts((), file, pairs), MOST_TEXTS))
    if not texts:
        raise InputError(f"{file} has no lines: a benchmark needs at least one text")
    return predictor.batches(texts)


def made_up(predictor: Predictor, tokens: int, name: str) -> Any:
    """One input of exactly `tokens` tokens, cut from a long encoded text so that the ids are ordinary ones."""
    longest = int(predictor.manifest["max_length"])
    if tokens > longest:
        raise InputError(f"--tokens must be at most {name}'s {longest}, got {tokens}")
    text = WORDS * (1 + longest // 8)
    given = (text, text) if predictor.manifest["pairs"] else text
    return {key: value[:, :tokens] for key, value in predictor.batches([given])[0].items()}


def as_data(subject: Subject, measured: Measurement) -> dict[str, Any]:
    """Numbers of one artifact."""
    from autocomp.measures import SIZE, TIME, figures_of, of_files
    from autocomp.measures.exit_depth import exit_depth

    ran, exits = exit_depth(subject.depths()), subject.predictor.manifest.get("exits")
    return {
        "artifact": subject.folder,
        "runtime": subject.runtime,
        "load_ms": subject.load_ms,
        **figures_of({SIZE: of_files(SIZE, Path(subject.folder)), TIME: measured}),
        "exit_rule": exits["rule"] if exits else None,
        "layers": ran.value,
        "exit_depths": ran.details,
    }


def ratios(result: dict[str, Any], first: dict[str, Any]) -> dict[str, float]:
    """How many times smaller and faster than the first."""
    names = {"times_smaller": "bytes", "times_faster": "latency_ms"}
    return {name: first[of] / result[of] for name, of in names.items()}


HEAD = ["artifact", "runtime", "size", "smaller", "loads in", "mean", "p50", "p95", "spread", "faster"]


def row(result: dict[str, Any]) -> list[str]:
    """One line of the table."""
    from autocomp.cli._say import millis, size, times

    numbers = [millis(result[f"latency_{name}ms"]) for name in ("", "p50_", "p95_", "spread_")]
    loads, faster = millis(result["load_ms"]), times(result["times_faster"], disturbed=result["latency_disturbed"])
    numbers[0] = millis(result["latency_ms"], disturbed=result["latency_disturbed"])
    return [
        result["artifact"],
        result["runtime"],
        size(result["bytes"]),
        times(result["times_smaller"]),
        loads,
        *numbers,
        faster,
    ]
