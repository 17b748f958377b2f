"""Is the demo's front as good as that of an older checkout? Both at once, each on a core of its own, then swapped.

    git worktree add --detach ../before bafb14c
    python benchmarks/versions.py ../before . --runs 3                    # 27 minutes
    python benchmarks/versions.py ../before . --runs 3 --folder /tmp/versions     # goes on with runs that are there
    python benchmarks/versions.py ../before . --runs 3 --quiet-machine    # in turns, on all cores: 54 minutes

Whatever else the machine does slows both alike. The file has each run's hypervolume (log bytes, log latency and error
beside the teacher's), how many jobs and candidates it had time for, and mean and standard error of each checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autocomp.environment import machine_facts, versions
from autocomp.journal import read_lines

RESULTS = Path(__file__).parent / "results" / "versions.json"


def start(checkout: Path, out: Path, budget: str, cores: Sequence[int]) -> subprocess.Popen[bytes] | None:
    """Begin a demo of a checkout on some cores, with a cache of its own; None if its run is there already."""
    if hypervolume(out) is not None:
        return None
    env = {**os.environ, "PYTHONPATH": str(checkout), "AUTOCOMP_CACHE": str(out.with_suffix(".cache"))}
    words = [sys.executable, "-m", "autocomp", "search", "demo", "--budget", budget, "--out", str(out), "--quiet"]
    pinned = ["taskset", "-c", ",".join(map(str, cores)), *words]
    return subprocess.Popen(pinned, cwd=checkout, env=env, stdout=subprocess.DEVNULL)


def finish(going: Sequence[subprocess.Popen[bytes] | None]) -> None:
    """Wait for runs that were begun."""
    for process in going:
        if process is not None:
            process.wait()


def hypervolume(out: Path) -> float | None:
    """Of a finished run; None of others."""
    journal = out / "journal.jsonl"
    fronts = [event["hypervolume"] for event in read_lines(journal, "front")] if journal.is_file() else []
    return float(fronts[-1]) if fronts else None


def told(out: Path) -> dict[str, Any]:
    """What is kept of a run."""
    jobs = sum(1 for _ in read_lines(out / "journal.jsonl", "started"))
    records = sum(1 for _ in read_lines(out / "journal.jsonl", "record"))
    [fidelities] = read_lines(out / "journal.jsonl", "fidelities")
    steps = [rung["steps"] for rung in fidelities["rungs"]]
    return {"hypervolume": hypervolume(out), "jobs": jobs, "candidates": records, "rungs": steps}


def commit_of(checkout: Path) -> str:
    """The commit that a checkout is at."""
    words = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def compare(args: argparse.Namespace) -> dict[str, Any]:
    """Run both as often as asked, and collect."""
    args.folder.mkdir(parents=True, exist_ok=True)
    cores = sorted(os.sched_getaffinity(0))
    named = {"before": args.before.resolve(), "now": args.now.resolve()}
    halves = [cores[: len(cores) // 2], cores[len(cores) // 2 :]]
    for number in range(args.runs):
        order = halves if number % 2 == 0 else halves[::-1]
        going = []
        for (name, checkout), own in zip(named.items(), order, strict=True):
            out = args.folder / f"{name}-{number}"
            going.append(start(checkout, out, args.budget, cores if args.quiet_machine else own))
            if args.quiet_machine:
                finish(going)
        finish(going)
    return {
        "command": f"python benchmarks/versions.py BEFORE NOW --runs {args.runs} --budget {args.budget}",
        "side_by_side": not args.quiet_machine,
        "machine": machine_facts(),
        "versions": versions(),
        **{name: summed(checkout, name, args) for name, checkout in named.items()},
    }


def summed(checkout: Path, name: str, args: argparse.Namespace) -> dict[str, Any]:
    """All runs of one checkout."""
    runs = [told(args.folder / f"{name}-{number}") for number in range(args.runs)]
    values = [run["hypervolume"] for run in runs]
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    return {"commit": commit_of(checkout), "mean": statistics.mean(values), "standard_error": error, "runs": runs}


def main() -> None:
    """Compare, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a checkout")
    parser.add_argument("now", type=Path, help="another")
    parser.add_argument("--runs", type=int, default=3, help="of each (default 3)")
    parser.add_argument("--budget", default="9m", help="of each run (default 9m)")
    parser.add_argument("--folder", type=Path, default=Path("runs/versions"), help="where the runs lie")
    parser.add_argument("--quiet-machine", action="store_true", help="one run after the other, on all cores")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    found = compare(args)
    args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for name in ("before", "now"):
        print(f"{name:<8}{found[name]['commit']}  {found[name]['mean']:.4f} ± {found[name]['standard_error'] or 0:.4f}")


if __name__ == "__main__":
    main()
