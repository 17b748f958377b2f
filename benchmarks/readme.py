"""Write the README's tables from `benchmarks/results/*.json`; a test holds the two together."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
START, END = "<!-- results:start -->", "<!-- results:end -->"
SHOWN = 8
TITLES = {
    "demo": "`make demo`: prompt-injection guard, {budget} on {cores} cores, teacher fine-tuned within it",
    "sst2": "SST-2, {budget} on {cores} cores, fine-tuned MiniLM-L6 as teacher",
}


def block() -> str:
    """The part of the README between the two marks."""
    parts = [_section(name, json.loads(file.read_text(encoding="utf-8"))) for name, file in _files()]
    file = ROOT / "benchmarks" / "results" / "artifact.json"
    parts += [artifact_section(json.loads(file.read_text(encoding="utf-8")))] if file.is_file() else []
    return "\n\n".join([START, *parts, END])


def artifact_section(result: dict[str, Any]) -> str:
    """MiniLM's shape in every form, one thread."""
    files = result["minilm"]["files"]
    timed = {row["tokens"]: row["ms"] for row in result["minilm"]["latency"] if row["threads"] == 1}
    lengths = sorted(timed)
    head = " | ".join(["| ", "file", "load", *(f"{n} tokens" for n in lengths)]) + " |"
    rows = [
        _form(name, files.get(name, files["8 bits, exit"]), [timed[n][name]["mean"] for n in lengths])
        for name in sorted(timed[lengths[0]], key=[*files, *timed[lengths[0]]].index)
    ]
    title = "**The file itself: MiniLM-L6's shape, 30,522 pieces, random weights, one thread**"
    foot = (
        f"{result['machine']['cpu']}, ONNX Runtime {result['versions']['onnxruntime']}, batch 1, interleaved; "
        "two threads, 95th percentiles and BERT-base are in the [data](benchmarks/results/artifact.json)."
    )
    return "\n".join([title, "", head, "| --- " * (3 + len(lengths)) + "|", *rows, "", foot])


def _form(name: str, file: dict[str, Any], times: list[float]) -> str:
    shown = " | ".join(f"{ms:.3g} ms" for ms in times)
    return f"| {name} | {file['bytes'] / 1e6:.2f} MB | {file['load_ms']:.0f} ms | {shown} |"


def _files() -> list[tuple[str, Path]]:
    found = {f.stem: f for f in (ROOT / "benchmarks" / "results").glob("*.json")}
    return [(name, found[name]) for name in TITLES if name in found]


def _section(name: str, result: dict[str, Any]) -> str:
    machine = result["machine"]
    title = TITLES[name].format(budget=result["budget"]["text"], cores=machine["cores"])
    rows = [_row("teacher, FP32", result["teacher"]), _row("plain int8, the thing to beat", result["plain_int8"])]
    shown = spread(result["members"], SHOWN)
    rows += [_row(m["describe"], m) for m in shown]
    head = f"| | size | latency | {result['metric']}, held out |\n| --- | --- | --- | --- |"
    foot = (
        f"{len(result['members'])} members in all, {len(shown)} shown; {machine['cpu']}, ONNX Runtime "
        f"{result['versions']['onnxruntime']}, one thread, batch 1, natural lengths, interleaved "
        f"([data](benchmarks/results/{name}.json))."
    )
    return "\n".join([f"**{title}**", "", head, *rows, "", foot])


def spread(members: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """`most` members, evenly over the order of size, ends included, and all that dominate plain int8."""
    if len(members) <= most:
        return members
    rows = {round(i * (len(members) - 1) / (most - 1)) for i in range(most)}
    return [m for i, m in enumerate(members) if i in rows or m.get("dominates_plain_int8")]


def _row(words: str, m: dict[str, Any]) -> str:
    smaller, faster = m.get("times_smaller") or 1.0, m.get("times_faster") or 1.0
    size = f"{m['bytes'] / 1e6:.2f} MB (÷{smaller:.3g})"
    latency = f"{'~' if m.get('latency_predicted') else ''}{m['latency_ms']:.3g} ms (÷{faster:.3g})"
    return f"| {words} | {size} | {latency} | {m['score']:.4f} ± {m['score_se']:.4f} |"


def main() -> int:
    """Replace the block."""
    file = ROOT / "README.md"
    text = file.read_text(encoding="utf-8")
    before, rest = text.split(START, 1)
    file.write_text(before + block() + rest.split(END, 1)[1], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
