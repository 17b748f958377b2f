"""Studies on a real Ray of several nodes on this machine: the same results as without, kills survived, overhead.

    python benchmarks/ray_cluster.py same                # one small study on worker processes and on two nodes
    python benchmarks/ray_cluster.py chaos --kills 20    # workers, nodes and drivers killed at random moments
    python benchmarks/ray_cluster.py overhead            # what a trial costs beside its own work
    python benchmarks/ray_cluster.py tune                # a trial of Ray Tune and a Ray task, empty
    python benchmarks/ray_cluster.py scarce              # full object stores; a trial that eats all memory

Each writes its part of `results/ray.json`. The studies are of a tiny BERT with three layers: what is measured is the
work around a trial, not the trial. All runs take real nodes: a GCS and a raylet each, with stages of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import _ray_works
import numpy as np
from _ray_nodes import Nodes, crew_of, drive

from autocomp.record import read_events
from autocomp.testing.studies import write_study

RESULTS = Path(__file__).parent / "results" / "ray.json"
WAIT_S = 2.0, 9.0
CUT_S = 45.0
"""Longer than Ray waits for a node that does not answer."""
BY_CLOCK = {"latency", "load_time", "resident_memory"}
SPACE: dict[str, Any] = {
    "techniques": {
        "depth": {"placement": "even"},
        "feed_forward": {"kept": [0.25, 0.5, 0.75, 1.0], "allocation": "importance"},
        "attention_heads": {"kept": [0.5, 1.0], "allocation": "importance"},
        "distillation": {"hidden": [1.0, 0.0], "relations": 0.0, "learning_rate": [2e-4, 4e-4]},
        "linear_bits": {"bits": [3, 4, 8]},
        "embedding_bits": {"bits": [4, 8]},
    },
    "start": [{"post_training": True, "linear_bits.bits": 8, "embedding_bits.bits": 8}],
}


def start(words: list[Any], cache: Path) -> subprocess.Popen[str]:
    """`autocomp …` as a user starts it."""
    env = {**os.environ, "AUTOCOMP_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "autocomp", *map(str, words), "--quiet"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=env, text=True, stdout=pipe, stderr=pipe, start_new_session=True)


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for the end, which must be a good one."""
    out, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"autocomp ended with {process.returncode}\n{out}\n{err}")


def records(run: Path) -> dict[str, Any]:
    """What is known of each plan but for times: status, artifact, measurements."""
    found = {}
    for event in read_events(run / "journal.jsonl", "record"):
        record = event["record"]
        values = {k: m["value"] for k, m in record["measurements"].items() if k not in BY_CLOCK}
        plan = json.dumps([record["plan"], record["fidelity"]], sort_keys=True)
        found[plan] = (record["status"], record["artifact"], json.dumps(values, sort_keys=True))
    return found


def front_of(run: Path, plans: set[str]) -> set[str]:
    """The plans, of those named, that nothing dominates in size and score."""
    from autocomp import pareto

    rows = []
    for event in read_events(run / "journal.jsonl", "record"):
        record = event["record"]
        plan = json.dumps([record["plan"], record["fidelity"]], sort_keys=True)
        if plan in plans and record["status"] == "complete":
            m = record["measurements"]
            rows.append((plan, m["artifact_size"]["value"], -m["task_score"]["value"]))
    stays = pareto.is_non_dominated(np.array([r[1:] for r in rows]))
    return {row[0] for row, stay in zip(rows, stays, strict=True) if stay}


def books(run: Path) -> dict[str, Any]:
    """Every record once, every job charged once; the ledger beside the sum of what ran."""
    events = list(read_events(run / "journal.jsonl"))
    names = Counter(e["record"]["id"] for e in events if e["event"] == "record")
    started = {e["job"] for e in events if e["event"] == "started"}
    charged = Counter(e["job"] for e in events if e["event"] == "charge" and "job" in e)
    charges = [e["charge"] for e in events if e["event"] == "charge"]
    trials = [c for c in charges if c["what"] in ("recovery", "post_training")]
    seconds: dict[str, float] = {}
    for event in events:
        if event["event"] == "record":
            job = event["record"]["id"].rsplit("-", 1)[0]
            seconds[job] = seconds.get(job, 0.0) + event["record"]["seconds"]
    return {
        "records": len(names),
        "records_twice": sum(n > 1 for n in names.values()),
        "jobs": len(started),
        "jobs_charged_once": sum(charged[job] == 1 for job in started),
        "failed": sum(e["event"] == "record" and e["record"]["status"] == "failed" for e in events),
        "cpu_s_charged_to_trials": round(sum(c["cpu_s"] for c in trials), 2),
        "cpu_s_of_their_records": round(sum(seconds.values()), 2),
        "cpu_s_lost": round(sum(c["cpu_s"] for c in charges if c["what"] == "lost"), 2),
        "retried": sum(e["event"] == "retried" for e in events),
        "resumed": sum(e["event"] == "resumed" for e in events),
        "wall_s_charged": round(sum(c["wall_s"] for c in charges), 2),
        "wall_s_from_first_to_last_event": round(events[-1]["at"] - events[0]["at"], 2),
    }


def study(folder: Path, **changes: Any) -> Path:
    """The small study: one rung, so that nothing depends on which trial ends first."""
    settings = {"searcher": "random", "recovery_steps": [150], "objectives": ["artifact_size", "task_score"]}
    return write_study(folder, **{"space": SPACE, **settings, **changes})


def same(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Worker processes here, and two nodes of Ray."""
    file = study(folder / "study", budget=f"{args.trials}trials", workers=2)
    finish(start(["search", file, "--out", folder / "local"], folder / "local-cache"))
    nodes = Nodes(folder, [1, 1])
    try:
        finish(start(["search", file, "--out", folder / "ray", "--ray", nodes.address], folder / "driver"))
    finally:
        nodes.close()
    ours, theirs = records(folder / "local"), records(folder / "ray")
    plans = set(ours) | set(theirs)
    proposed = [[e["plan"] for e in read_events(folder / n / "journal.jsonl", "started")] for n in ("local", "ray")]
    return {
        "plans": len(plans),
        "plans_equal": set(ours) == set(theirs),
        "figures_and_files_equal": ours == theirs,
        "proposals_equal": proposed[0] == proposed[1],
        "fronts_equal": front_of(folder / "local", plans) == front_of(folder / "ray", plans),
        "local": books(folder / "local"),
        "ray": books(folder / "ray"),
    }


class Chaos:
    """Kills at random moments until it has had enough."""

    def __init__(self, nodes: Nodes, run: Path, args: argparse.Namespace) -> None:
        self.nodes, self.run, self.left, self.kinds = nodes, run, args.kills, args.kinds
        self.rng = np.random.default_rng(args.seed)
        self.did: list[str] = []

    def strike(self, process: subprocess.Popen[str]) -> bool:
        """One kill; whether it was the driver's."""
        kind = str(self.rng.choice(self.kinds))
        done = {
            "worker": self._worker,
            "node": self._node,
            "cut": self._cut,
            "driver": lambda: self._driver(process),
        }[kind]()
        if done:
            self.did.append(kind)
            self.left -= 1
        return done and kind == "driver"

    def _worker(self) -> bool:
        workers = running("ray::ResourceTrainable", self.nodes.folder)
        if workers:
            os.kill(int(self.rng.choice(workers)), signal.SIGKILL)
        return bool(workers)

    def _node(self) -> bool:
        which = int(self.rng.integers(len(self.nodes.others)))
        self.nodes.cluster.remove_node(self.nodes.others[which], allow_graceful=False)
        self.nodes.others[which] = self.nodes.add(1)
        return True

    def _cut(self) -> bool:
        """A node that no longer answers, as behind a cut wire; it is there again when nobody waits for it any more."""
        which = int(self.rng.integers(len(self.nodes.others)))
        [raylet] = self.nodes.others[which].all_processes["raylet"]
        os.kill(raylet.process.pid, signal.SIGSTOP)
        time.sleep(CUT_S)
        os.kill(raylet.process.pid, signal.SIGCONT)
        self.nodes.others[which] = self.nodes.add(1)
        return True

    def _driver(self, process: subprocess.Popen[str]) -> bool:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def running(title: str, folder: Path) -> list[int]:
    """Processes of these nodes that are doing this now: Ray sets the title of a worker to what it does."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            is_it = file.read_bytes().startswith(title.encode())
            if is_it and str(folder).encode() in (file.parent / "environ").read_bytes():
                found.append(int(file.parent.name))
        except OSError:
            continue
    return found


def chaos(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """One undisturbed study on worker processes, and the same on three nodes with kills."""
    file = study(folder / "study", budget=f"{args.trials}trials", recovery_steps=[60], workers=3)
    finish(start(["search", file, "--out", folder / "calm"], folder / "calm-cache"))
    nodes, run, began = Nodes(folder, [1, 1, 1]), folder / "chaos", time.time()
    hand = Chaos(nodes, run, args)
    try:
        process = start(["search", file, "--out", run, "--ray", nodes.address], folder / "driver")
        while process.poll() is None or process.returncode == -signal.SIGKILL:
            if process.poll() is not None:
                process = start(["resume", run, "--ray", nodes.address], folder / "driver")
            if not hand.left:
                break
            time.sleep(hand.rng.uniform(*WAIT_S))
            if any_event(run, "started") and not any_event(run, "finished"):
                hand.strike(process)
                print(hand.did[-1:], len(hand.did), flush=True)
        if process.returncode == -signal.SIGKILL:
            process = start(["resume", run, "--ray", nodes.address], folder / "driver")
        finish(process)
    finally:
        nodes.close()
    calm, wild = records(folder / "calm"), records(run)
    both = set(calm) & set(wild)
    return {
        "kills": dict(Counter(hand.did)),
        "seconds": round(time.time() - began, 1),
        "finished": any_event(run, "finished"),
        "plans": len(wild),
        "plans_of_both": len(both),
        "figures_and_files_equal": all(calm[p] == wild[p] for p in both),
        "fronts_equal": front_of(folder / "calm", both) == front_of(run, both),
        "books": books(run),
    }


def any_event(run: Path, kind: str) -> bool:
    """Whether the journal has one."""
    return (run / "journal.jsonl").is_file() and any(read_events(run / "journal.jsonl", kind))


def sleeping(folder: Path, trials: int, seconds: float) -> list[dict[str, Any]]:
    """Jobs that sleep."""
    return [{"id": f"s{i:05d}", "run": str(folder / "run"), "sleep": seconds} for i in range(trials)]


def overhead(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Two workers on two nodes: time against `trials x seconds / 2`, Tune's start included."""
    found = {}
    with crew_of(folder, [1, 1]) as crew:
        for seconds, trials in ((30.0, 8), (3.0, 40)):
            with crew.executor(_ray_works.TRIALS) as executor:
                ends = list(drive(executor, sleeping(folder, trials, seconds), 2))
            ideal, after = trials * seconds / 2, (ends[-1] - ends[1]) * 2 / (trials - 2) - seconds
            found[f"trials of {seconds:g} s"] = {
                "trials": trials,
                "seconds": round(ends[-1], 2),
                "efficiency": round(ideal / ends[-1], 4),
                "overhead_a_trial_s": round(after, 4),
                "overhead_of_a_trial": round(after / seconds, 4),
            }
    return found


def tune(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Empty jobs, two at a time, as trials of Tune and as tasks: what each costs."""
    found = {}
    with crew_of(folder, [1, 1]) as crew:
        for name, work in (("Ray Tune", _ray_works.TRIALS), ("Ray tasks", _ray_works.TASKS)):
            with crew.executor(work) as executor:
                ends = list(drive(executor, sleeping(folder, 200, 0.0), 2))
            each = (ends[-1] - ends[1]) / (len(ends) - 2)
            found[name] = {"first_s": round(ends[0], 2), "each_ms": round(each * 1e3, 1)}
    return found


def scarce(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Object stores of 80 MB that may not spill, 12 stages of 30 MB to send; a trial beyond the memory limit."""
    small = {"object_store_memory": 80 * 2**20, "_system_config": {"automatic_object_spilling_enabled": False}}
    with crew_of(folder, [0, 1], **small) as crew:
        keys = [large_stage(folder / "driver" / "stages", number, 30 * 2**20) for number in range(12)]
        jobs = [{"id": key, "run": str(folder / "run"), "reads": [key]} for key in keys]
        with crew.executor(_ray_works.READING, 1) as executor:
            ended, lost = list(drive(executor, jobs, 1)), executor.lost()
        sent = {"stages": len(ended), "attempts_lost": len(lost), "seconds": round(ended[-1], 2)}
    (folder / "memory").mkdir()
    # Ray reads its settings in this spelling only.
    os.environ |= {"RAY_memory_usage_threshold": f"{memory_used() + 0.08:.3f}", "RAY_memory_monitor_refresh_ms": "100"}
    with crew_of(folder / "memory", [1, 1]) as crew:
        return {"80 MB stores, 360 MB of stages": sent, "a trial that takes too much memory": greedy(crew, folder)}


def greedy(crew: Any, folder: Path) -> dict[str, Any]:
    """A job that is killed for memory each time, beside one that is not; what became of both."""
    run = str(folder / "memory" / "run")
    with crew.executor(_ray_works.EATING_TRIALS) as executor:
        executor.submit({"id": "greedy", "run": run, "eat_mb": 12_000, "sleep": 0.0})
        executor.submit({"id": "modest", "run": run, "eat_mb": 50, "sleep": 1.0})
        ended: dict[str, Any] = {}
        while executor.running:
            ended |= {
                job["id"]: (result is not None, error and str(error)) for job, result, error in executor.collect(1.0)
            }
        attempts = [(one.attempt, one.error, one.again) for one in executor.lost() if one.job["id"] == "greedy"]
    return {"ended": ended, "attempts_lost": attempts}


def large_stage(store: Path, number: int, size: int) -> str:
    """Key of a stage of so many random bytes."""
    from autocomp.result_cache import ResultCache

    def build(made: Path) -> None:
        (made / "weights").write_bytes(np.random.default_rng(number).bytes(size))

    return ResultCache(store).make("data", {"number": number}, build).key


def memory_used() -> float:
    """Fraction of this machine's memory that is in use."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines())
    found = {line[0]: int(line[1]) for line in lines}
    return 1 - found["MemAvailable:"] / found["MemTotal:"]


PARTS: Mapping[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {
    part.__name__: part for part in (same, chaos, overhead, tune, scarce)
}


def main() -> int:
    """Do one part and keep its figures."""
    from autocomp.environment import machine_facts, versions

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--kinds", nargs="+", default=["worker", "worker", "node", "driver"], help="also: cut")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="keep the folder of the runs")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="autocomp-ray-"))
    found = PARTS[args.part](folder, args)
    print(json.dumps(found, indent=1))
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    ray = {"ray": __import__("ray").__version__}
    known |= {args.part: {**found, "machine": machine_facts(), "versions": {**versions(), **ray}}}
    RESULTS.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    print(folder) if args.keep else shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
