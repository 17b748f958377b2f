"""What the driver of a large study costs: the real search with 64 simulated workers that replay recorded results.

    python benchmarks/scale.py                                  # 5,000 trials with TPE, then with random draws
    python benchmarks/scale.py --trials 500 --searchers tpe --profile tpe.prof --out /tmp/scale.json
    python benchmarks/scale.py --quality 6 --trials 600         # hypervolume found under six seeds
    python benchmarks/scale.py --quality 6 --trials 600 --known 2048 --searchers tpe     # by a sampler that knows all
    python benchmarks/scale.py --record RUN RUN …               # makes data/recorded.json.gz anew from real runs

Search, searcher, losses, rungs, budget and journal are the real ones, and so is the teacher that every proposal is
sliced from: a random model of MiniLM's or BERT-base's sizes, which it stands on disk as it does in a study. Only the
workers are not (`_replay.py`). What the simulation itself computes is not counted; the journal is on the disk,
synchronised.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _replay import OBJECTIVES, Replay, SimulatedExecutor, record_from

from autocomp import searchers as room
from autocomp.architectures import BlockShape, EncoderShape
from autocomp.budget import parse_budget
from autocomp.environment import machine_facts, versions
from autocomp.heads import HeadShape
from autocomp.journal import Journal
from autocomp.journal.events import StudyBegun, TrialRecorded
from autocomp.measures import OF_RECORDS
from autocomp.pipeline.context import ContextKeys, Speed, StudyContext, open_context, write_data
from autocomp.pipeline.evaluate import HERE
from autocomp.pipeline.plans import build_space, plan_of
from autocomp.report.summary import summary
from autocomp.searchers import Searcher
from autocomp.spec import SpaceSpec, read_objective, read_space
from autocomp.study import schedule, search
from autocomp.study.budget_tracker import BudgetTracker
from autocomp.study.losses import LossScale
from autocomp.study.proposals import Proposals, identity
from autocomp.study.schedule import Schedule
from autocomp.study.search import Search, job_template
from autocomp.study.time_model import TimeModel, block_weights, given_ladder
from autocomp.tasks import Example, TaskData

RESULTS = Path(__file__).parent / "results" / "scale.json"
QUALITY = RESULTS.with_name("quality.json")
SPACE, STEPS = "compound", (630, 1890, 5670)
SHAPES = {"minilm": (6, 12, 384, 18_000), "base": (12, 12, 768, 18_000)}
"""Layers, heads, hidden size and pieces: as many of these as a tokenizer of random pieces has."""


def make_context(run: Path, shape: str) -> StudyContext:
    """The real context of a teacher of these sizes with random weights and importance, as stages on disk."""
    from safetensors.numpy import save_file

    from autocomp.models.student import save_student
    from autocomp.testing.models import random_student

    layers, heads, hidden, pieces = SHAPES[shape]
    blocks = (BlockShape(heads, hidden // heads, 4 * hidden),) * layers
    sizes = EncoderShape(pieces, 512, 2, hidden, hidden, blocks, tuple(range(layers)), HeadShape(2, size=hidden))
    teacher, store, rng = random_student(sizes), run / "stages", np.random.default_rng(0)
    teacher.max_length = 128
    for name in ("data", "knowledge", "baseline"):
        (store / name).mkdir(parents=True)
    save_student(teacher, store / "teacher" / "student")
    row = (Example("a text", None, 0),)
    write_data(TaskData("recorded", teacher.labels, "accuracy", row, row, row), store / "data")
    scores = {"hidden": hidden} | {f"heads.{d}": heads for d in range(layers)}
    scores |= {f"feed_forward.{d}": 4 * hidden for d in range(layers)}
    arrays = {f"importance.{name}": rng.random(size, dtype=np.float32) for name, size in scores.items()}
    save_file(arrays, store / "knowledge" / "arrays.safetensors")
    counts = dict(zip(teacher.tokenizer.get_vocab(), rng.zipf(1.5, pieces).tolist(), strict=True))
    (store / "knowledge" / "pieces.json").write_text(json.dumps(counts))
    seen = {name: np.zeros((1, 2)) for name in ("search_logits", "held_out_logits")}
    save_file(seen, store / "baseline" / "arrays.safetensors")
    device = {"name": "simulated", "summary": "", "runtime": "onnxruntime", "threads": 1, "warmup": 5, "rounds": 60}
    speed = Speed((2.0,) * 60)
    ContextKeys(str(store), "data", "teacher", "knowledge", "baseline", device, "simulated", 0, speed).write(run)
    return open_context(run)


def make_search(run: Path, context: StudyContext, searcher: str, seed: int, trials: int, executor: Any) -> Search:
    """The search of a study, as `Search.of` makes it."""
    spec: SpaceSpec = read_space(SPACE)
    shape = context.teacher.encoder.shape
    space = build_space(spec, shape, SPACE)
    journal = Journal(run / "journal.jsonl")
    if not journal.file.exists():
        journal.append(StudyBegun(spec={"budget": f"{trials}trials"}))
    objectives = tuple(read_objective(name) for name in OBJECTIVES)
    scale = LossScale(objectives, tuple(executor.replay.teacher[name] for name in OBJECTIVES))
    executor.space = space
    template = job_template(run, space, OF_RECORDS, executor, HERE)
    proposer = Searcher(space, len(objectives), searcher, seed, identity)
    proposals = Proposals(template, space, proposer, given_ladder(STEPS), scale.reference, context.store)
    proposals.start_with(spec.start)
    budget = BudgetTracker(parse_budget(f"{trials}trials"), journal, cores=executor.workers)
    times = TimeModel(1e-10, block_weights(shape), 2e-3, 2000)
    return Search(run, journal, shape, proposals, Schedule(run, budget, times), scale, executor, members=24)


def replace_prepared(replacement: Callable[[Any], Any]) -> None:
    """Put another function in the place of `prepared`, wherever a search calls it."""
    for module in (schedule, search):
        module.prepared = replacement(module.prepared)


class Meter:
    """What the driver took so far, read every `every` trials; what the simulation took is taken off."""

    def __init__(self, journal: Path, every: int) -> None:
        self.journal, self.every = journal, every
        self.sizing_s = 0.0
        self.rows = [self._now(None)]

    def on_end(self, executor: SimulatedExecutor) -> None:
        """Read if it is time."""
        if executor.ended % self.every == 0:
            self.rows.append(self._now(executor))
            print("   ", {k: round(v, 2) for k, v in self.since()[-1].items()}, flush=True)

    def _now(self, executor: SimulatedExecutor | None) -> dict[str, float]:
        own = (executor.own_s, executor.own_cpu_s) if executor else (0.0, 0.0)
        return {
            "trials": executor.ended if executor else 0,
            "s": time.perf_counter() - own[0],
            "cpu_s": time.process_time() - own[1],
            "resident_mb": resident_mb(),
            "journal_mb": self.journal.stat().st_size / 1e6 if self.journal.exists() else 0.0,
        }

    def since(self) -> list[dict[str, float]]:
        """Per trial, between two readings."""
        found = []
        for before, after in zip(self.rows, self.rows[1:], strict=False):
            trials = after["trials"] - before["trials"]
            found.append(
                {
                    "trials": after["trials"],
                    "ms_per_trial": 1e3 * (after["s"] - before["s"]) / trials,
                    "cpu_ms_per_trial": 1e3 * (after["cpu_s"] - before["cpu_s"]) / trials,
                    "proposals_per_s": trials / (after["s"] - before["s"]),
                    "resident_mb": after["resident_mb"],
                    "journal_mb": after["journal_mb"],
                }
            )
        return found

    def sizing(self, prepared: Any) -> Any:
        """`prepared`, timed."""

        def timed(*given: Any) -> Any:
            began = time.perf_counter()
            try:
                return prepared(*given)
            finally:
                self.sizing_s += time.perf_counter() - began

        return timed


def resident_mb() -> float:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def simulate(searcher: str, trials: int, workers: int, shape: str, profile: Path | None) -> dict[str, Any]:
    """One whole study, metered ten times."""
    every = max(1, trials // 10)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder).resolve()
        context, meter = make_context(run, shape), Meter(run / "journal.jsonl", every)
        executor = SimulatedExecutor(Replay(0), None, workers, meter.on_end)  # type: ignore[arg-type]
        study = make_search(run, context, searcher, 0, trials, executor)
        replace_prepared(meter.sizing)
        profiler = cProfile.Profile()
        if profile:
            profiler.enable()
        meter.rows = [meter._now(None)]
        reason = study.go()
        if profile:
            profiler.disable()
            profiler.dump_stats(profile)
        rows = meter.since()
        return {
            "searcher": searcher,
            "workers": workers,
            "teacher": shape,
            "reason": reason,
            "trials": executor.ended,
            "simulated_hours": executor.clock_s / 3600,
            "records": sum(1 for _ in study.journal.events(TrialRecorded)),
            **totals(meter, rows),
            "hypervolume": hypervolume(study),
            "tenths": rows,
            "again": opened_again(run, context, searcher, trials, executor),
        }


def totals(meter: Meter, rows: list[dict[str, float]]) -> dict[str, float]:
    """Of the whole study; the first tenth warms up."""
    first, last = meter.rows[0], meter.rows[-1]
    warm = rows[1] if len(rows) > 1 else rows[0]
    return {
        "proposals_per_s": (last["trials"] - first["trials"]) / (last["s"] - first["s"]),
        "cpu_ms_per_trial": 1e3 * (last["cpu_s"] - first["cpu_s"]) / last["trials"],
        "last_tenth_over_second": rows[-1]["cpu_ms_per_trial"] / warm["cpu_ms_per_trial"],
        "resident_mb_at_start": first["resident_mb"],
        "resident_mb_growth": last["resident_mb"] - first["resident_mb"],
        "peak_resident_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "sizing_ms_per_trial": 1e3 * meter.sizing_s / last["trials"],
        "journal_kb_per_trial": 1e3 * last["journal_mb"] / last["trials"],
    }


def hypervolume(study: Search) -> float:
    """Of all that was found, judged as the study judges."""
    return study.scale.hypervolume(study.archive.front())


def opened_again(run: Path, context: StudyContext, searcher: str, trials: int, executor: Any) -> dict[str, float]:
    """Seconds to put a resumed loop where the journal says it was, and to sum the run up."""
    began = time.process_time()
    study = make_search(run, context, searcher, 0, trials, executor)
    study.replay()
    study.proposals.searcher.ask(plan_of)
    replayed = time.process_time()
    summary(run)
    return {"replay_cpu_s": replayed - began, "summary_cpu_s": time.process_time() - replayed}


def quality(searcher: str, trials: int, workers: int, seeds: int) -> list[float]:
    """Hypervolume found under several seeds, with jobs that are not sized."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            run = Path(folder).resolve() / str(seed)
            run.mkdir()
            executor = SimulatedExecutor(Replay(seed), None, workers, lambda _: None)  # type: ignore[arg-type]
            study = make_search(run, make_context(run, "minilm"), searcher, seed, trials, executor)
            replace_prepared(lambda _, shape=study.teacher: lambda run, plan: (shape, plan))
            study.go()
            found.append(hypervolume(study))
            print(searcher, trials, workers, seed, f"{found[-1]:.4f}", flush=True)
    return found


def keep_quality(args: argparse.Namespace) -> None:
    """Hypervolumes of each searcher under several seeds, beside those of runs that knew more points or fewer."""
    room.KNOWN, room.BEST = args.known, args.known // 4
    known = json.loads(QUALITY.read_text(encoding="utf-8")) if QUALITY.is_file() else {}
    for searcher in args.searchers:
        values = quality(searcher, args.trials, args.workers, args.quality)
        mean, error = float(np.mean(values)), float(np.std(values) / len(values) ** 0.5)
        asked = {"trials": args.trials, "workers": args.workers, "known": args.known}
        known[f"{searcher}, {args.known} points"] = {**asked, "mean": mean, "standard_error": error, "of_seeds": values}
        print(searcher, f"mean {mean:.4f}, standard error {error:.4f}")
    QUALITY.write_text(json.dumps({**known, "versions": versions()}, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--searchers", nargs="+", default=["tpe", "random"])
    parser.add_argument("--teacher", choices=SHAPES, default="minilm")
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--quality", type=int, metavar="SEEDS")
    parser.add_argument("--known", type=int, default=room.KNOWN, help="points that a sampler keeps, with --quality")
    parser.add_argument("--record", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    if args.record:
        return record_from(args.record)
    if args.quality:
        return keep_quality(args)
    studies = [simulate(name, args.trials, args.workers, args.teacher, args.profile) for name in args.searchers]
    facts = {"machine": machine_facts(), "versions": versions()}
    args.out.write_text(json.dumps({**facts, "studies": studies}, indent=1) + "\n", encoding="utf-8")
    return None


if __name__ == "__main__":
    main()
