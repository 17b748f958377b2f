"""Search, then keep the front as data: `benchmarks/results/NAME.json`, beside the plain int8 export.

    python benchmarks/front.py demo -- demo --budget 9m
    python benchmarks/front.py sst2 -- --model ../shared/teachers/minilm-sst2 --task ../shared/data/sst2 --budget 60m
    python benchmarks/front.py sst2-gpu -- --model ../shared/teachers/minilm-sst2 --task ../shared/data/sst2 \
        --budget 0.3gpu-hours                             # and how busy the GPU was
    python benchmarks/front.py demo --from runs/demo      # a run that is there already

Everything in the file comes from the run's journal: machine, versions, data fingerprint, ledger, members measured
interleaved with the teacher and with plain int8, and scored on the held-out split.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from _gpus import watched

from autocomp.journal import read_lines
from autocomp.report.summary import summary
from autocomp.spec import StudySpec

RESULTS = Path(__file__).parent / "results"
KEPT = (
    "id describe bytes gzip_bytes latency_ms latency_p95_ms latency_spread_ms latency_predicted score score_se "
    "score_difference score_difference_se search_score agreement held_out_agreement times_smaller times_faster load_ms "
    "parameters survey_size_pct survey_size_without_embeddings_pct resident_mb "
    "dominates_plain_int8"
).split()


def collect(run: Path, asked: list[str]) -> dict[str, Any]:
    """What is kept of a run; `asked` are the arguments it was started with, if known."""
    shown = summary(run)
    study = next(read_lines(run / "journal.jsonl", "study"))
    gpus = [_without(event, "event", "at") for event in read_lines(run / "journal.jsonl", "gpus")]
    short = {name: _short(shown[name]) for name in ("teacher", "plain_int8")}
    return {
        "command": " ".join(["autocomp search", *(asked or _asked(study["spec"]))]),
        **{key: shown[key] for key in ("task", "metric", "budget", "trials", "hypervolume")},
        "search_vs_held_out": shown["agreement"],
        **({"gpus": gpus} if gpus else {}),
        "machine": study["machine"],
        "versions": study["versions"],
        "data": {k: v for k, v in study["data"].items() if k != "notes"},
        **short,
        "members": [_short(m) for m in shown["members"]],
    }


def _without(event: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key not in keys}


def _asked(spec: dict[str, Any]) -> list[str]:
    places = {"model": spec["model"], "task": spec["task"]["source"]}
    named = {key: Path(value).name if Path(value).is_absolute() else value for key, value in places.items()}
    named |= {} if spec["space"] == StudySpec.model_fields["space"].default else {"space": Path(spec["space"]).stem}
    return [word for key, value in {**named, "budget": spec["budget"]}.items() for word in (f"--{key}", value)]


def _short(member: dict[str, Any]) -> dict[str, Any]:
    return {k: _rounded(member[k]) for k in KEPT if member.get(k) is not None}


def _rounded(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value


def main() -> int:
    """Run and collect."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of the results file")
    parser.add_argument("--from", dest="run", type=Path, help="collect this run instead of searching")
    parser.add_argument("search", nargs="*", help="arguments of `autocomp search`, after --")
    args = parser.parse_args()
    run = args.run or Path("runs") / f"benchmark-{args.name}"
    busy: dict[str, Any] = {}
    if args.run is None:
        search = [sys.executable, "-m", "autocomp", "search", *args.search, "--out", str(run), "--log"]
        with watched() as busy:
            subprocess.run(search, check=True)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{args.name}.json"
    found = collect(run, args.search) | ({"gpu_use": busy} if busy else {})
    file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
