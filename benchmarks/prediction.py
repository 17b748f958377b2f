"""How far off are latencies that are predicted from a device's recorded table?

    python benchmarks/prediction.py                   # four minutes
    python benchmarks/prediction.py --without-amx     # as on a CPU that has VNNI but no AMX
    python benchmarks/prediction.py --clock cpu       # where others use the machine too: processor time

The files that `autocomp device probe` times, and others that it does not see, are timed in turns; costs are fitted to
the former, and the latter predicted: other random shapes of the same range, and shapes of real students and teachers,
some far outside of it. One thread, batch 1.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autocomp.architectures import BlockShape, EncoderShape
from autocomp.devices.probing import FILES, Timed, latency_table, machine, timed
from autocomp.devices.samples import NEVER, Sample, samples
from autocomp.heads import HeadShape
from autocomp.spec import LatencyTable

RESULTS = Path(__file__).parent / "results"
LENGTHS = (16, 25, 64, 128)
OTHERS, OTHER_SEED = 24, 7
CLOCKS = {"wall": time.perf_counter, "cpu": time.thread_time}


def bert(layers: int, hidden: int, heads: int, feed_forward: int, vocabulary: int = 8000) -> EncoderShape:
    """A BERT for single texts."""
    blocks = (BlockShape(heads, hidden // heads, feed_forward),) * layers
    return EncoderShape(vocabulary, 128, 0, hidden, hidden, blocks, tuple(range(layers)), HeadShape(2, hidden))


MINILM, STUDENT = bert(6, 384, 12, 1536, 30522), bert(4, 384, 12, 1024)
LOW_RANK = tuple(
    sorted((f"blocks.{i}.feed_forward.{part}.weight", 64) for i in range(STUDENT.depth) for part in ("input", "output"))
)
REAL = {
    "MiniLM-L6, FP32": Sample(MINILM, False, None, LENGTHS),
    "MiniLM-L6, int8": Sample(MINILM, True, None, LENGTHS),
    "student": Sample(STUDENT, True, None, LENGTHS),
    "student, exit not taken": Sample(STUDENT.with_(exits=(2,)), True, NEVER, LENGTHS),
    "student, exit taken": Sample(STUDENT.with_(exits=(2,)), True, 0.0, LENGTHS),
    "student, low rank": Sample(STUDENT.with_(ranks=LOW_RANK), True, None, LENGTHS),
    "student, tokens left behind": Sample(STUDENT.with_(tokens=(0.7, 0.7, 0.7, 1.0)), True, None, LENGTHS),
    "student of two layers": Sample(bert(2, 256, 8, 384, 2000), True, None, LENGTHS),
    "BERT-base, int8 (beyond the table)": Sample(bert(12, 768, 12, 3072, 30522), True, None, LENGTHS),
    "BERT-base, FP32 (beyond the table)": Sample(bert(12, 768, 12, 3072, 30522), False, None, LENGTHS),
}


def compared(names: Sequence[str], found: Sequence[Timed], table: LatencyTable) -> list[dict[str, Any]]:
    """Measured and predicted times of each file at each length."""
    rows = []
    for one in found:
        predicted = float(one.work @ np.array(table.costs_ms))
        row = {"file": names[one.file], "tokens": one.tokens, "measured_ms": one.ms, "predicted_ms": predicted}
        rows.append({**row, "error": predicted / one.ms - 1})
    return rows


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Relative errors, without sign."""
    errors = np.abs([row["error"] for row in rows])
    return {"median": np.median(errors), "p90": np.percentile(errors, 90), "worst": errors.max(), "n": len(rows)}


def short(value: Any) -> Any:
    """Four digits of every number in a result."""
    if isinstance(value, dict):
        return {key: short(one) for key, one in value.items()}
    if isinstance(value, list):
        return [short(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def main() -> int:
    """Measure, compare and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--without-amx", action="store_true", help="hide AMX from the runtime (Linux, x86-64)")
    parser.add_argument("--seconds", type=float, default=150.0, help="of timing (default 150)")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.without_amx:
        from _instructions import rerun_without_amx

        rerun_without_amx()
    seen, others, real = samples(FILES), samples(OTHERS, OTHER_SEED), list(REAL.values())
    found = timed([*seen, *others, *real], 1, args.seconds, lambda text, fraction: None, CLOCKS[args.clock])
    table = latency_table(seen, [one for one in found if one.file < FILES])
    names = [*map(str, [*seen, *others]), *REAL]
    rest = [one for one in found if one.file >= FILES]
    rows = {
        "random shapes": compared(names, [one for one in rest if one.file < FILES + OTHERS], table),
        "real shapes": compared(names, [one for one in rest if one.file >= FILES + OTHERS], table),
    }
    kept: dict[str, Any] = {**machine(), "instructions": "without AMX" if args.without_amx else "all"}
    kept["clock"] = "wall" if args.clock == "wall" else "processor time of the one thread; others used the machine"
    kept["load average"] = os.getloadavg()[1]
    kept["median spread of a time"] = float(np.median([one.spread_ms / one.ms for one in found]))
    kept["left out in the probe"] = table.error.model_dump()
    kept["errors"] = {group: summary(found) for group, found in rows.items()}
    by_file = {name: [row["error"] for row in rows["real shapes"] if row["file"] == name] for name in REAL}
    kept |= {"real shapes by file": {name: dict(zip(map(str, LENGTHS), e, strict=True)) for name, e in by_file.items()}}
    kept |= {"costs_ms": dict(zip(table.work, table.costs_ms, strict=True)), "times": rows}
    out = args.out or RESULTS / f"prediction{'-vnni' if args.without_amx else ''}.json"
    out.write_text(json.dumps(short(kept), indent=1) + "\n", encoding="utf-8")
    print(out, json.dumps(short({k: kept[k] for k in ("errors", "real shapes by file")}), indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
