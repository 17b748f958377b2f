"""`autocomp inspect DIR`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autocomp.report.inspect import Contents, LayerContents, OperatorShare
    from autocomp.spec import DeviceProfile
    from autocomp.strict_json import Json, JsonView

SUMMARY = (
    "show what is in an exported model: every layer's format, bytes and share of time, and how near its floor it runs"
)
EXAMPLES = (
    "autocomp inspect guard",
    "autocomp inspect guard --tokens 128",
    "autocomp inspect runs/demo/plain_int8 --texts texts.txt --json",
    "autocomp inspect guard --device pi4.yaml",
)
TOLD = ("bytes", "gzip_bytes", "parameters", "resident_mb")
HEAD = ["layer", "shape", "numbers", "bits", "zeros", "bytes", "runs as", "MMACs", "time"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", metavar="DIR", type=Path, help="an exported model: autocomp export, or RUN/front/ID")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--texts", type=Path, metavar="FILE", help="real texts, one a line, to measure times on")
    length.add_argument("--tokens", type=int, default=32, metavar="N", help="one made-up text of N tokens (default 32)")
    parser.add_argument("--pairs", action="store_true", help="every line of FILE is TEXT<tab>PAIR")
    parser.add_argument("--rounds", type=int, default=20, help="timed rounds (default 20)")
    parser.add_argument(
        "--device",
        metavar="NAME|FILE",
        help="also predict the latency on this device, from the table that `autocomp device probe` recorded there",
    )
    parser.add_argument("--include", action="append", default=[], metavar="DIR", help="a folder with your own YAML")
    parser.add_argument("--json", action="store_true", help="one object (keys: docs/command-line.md)")


def run(args: argparse.Namespace) -> int:
    """Print what is in an artifact."""
    from autocomp.cli._say import print_json
    from autocomp.cli.benchmark import prepare
    from autocomp.errors import InputError
    from autocomp.report.inspect import contents

    for name in ("tokens", "rounds"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name} must be at least 1, got {getattr(args, name)}")
    device = _device(args)
    args.threads, args.exit_threshold = 1, None
    opened = prepare(args.folder, "onnxruntime", args)
    found = contents(args.folder, opened.predictor, opened.inputs, opened.load_ms, args.rounds)
    if device:
        found["predicted"] = _predicted(args.folder, opened.inputs, device)
    if args.json:
        print_json(found)
    else:
        print(describe(found))
    return 0


def _device(args: argparse.Namespace) -> DeviceProfile | None:
    """The device to predict for.

    Raises:
        InputError: there is none of that name, or it has no table.
    """
    from autocomp.devices.predicting import table_of
    from autocomp.spec import read_device

    if args.device is None:
        return None
    device = read_device(args.device, args.include)
    table_of(device)
    return device


def _predicted(folder: Path, inputs: Sequence[Any], device: DeviceProfile) -> Json:
    from autocomp.artifact.files import MODEL
    from autocomp.devices.predicting import predicted_latency, table_of
    from autocomp.measures import TIME, figures_of

    found = predicted_latency(folder / MODEL, inputs, device)
    return {
        "device": device.name,
        "threads": device.threads,
        **figures_of({TIME: found}),
        "median_error": table_of(device).error.median,
    }


def describe(found: Contents) -> str:
    """The contents for people."""
    from autocomp.cli._say import text_table

    layers = text_table(HEAD, [*_rows(found), _total(found)], ("layer", "numbers", "runs as"))
    operators = text_table(["operator", "time"], _operators(found["operators"]), ("operator",))
    return "\n".join([*_whole(found), "", layers, "", operators])


def _whole(found: Contents) -> list[str]:
    from autocomp.cli._say import millis, size

    files = ", ".join(f"{name} {size(count)}" for name, count in found["files"].items())
    zeros = found["parameters"] - found["stored_parameters"]
    left_out = f", of which {zeros:,} zeros are not stored" if zeros else ""
    exits, resident = found["exits"], found["resident_mb"]
    memory = "" if resident is None else f", takes {resident:.0f} MB of memory"
    work = f"{found['int8_macs'] / 1e6:.1f} million int8 multiply-adds, {found['fp32_macs'] / 1e6:.1f} in FP32"
    return [
        f"{found['artifact']}: {size(found['bytes'])} ({files}), gzip {size(found['gzip_bytes'])}",
        f"{found['parameters']:,} parameters{left_out}; {found['vocabulary']:,} pieces, {len(found['labels'])} labels, "
        f"at most {found['max_length']} tokens",
        *_other_sizes(found),
        *([f"exits after {exits['depths']} layers, {exits['rule']} {exits['threshold']:g}"] if exits else []),
        f"loads in {millis(found['load_ms'])}{memory}",
        f"{millis(found['latency_ms'])} for {found['tokens']:.0f} tokens, one thread: "
        f"{found['latency_over_floor']:.2f} times the floor of {millis(found['floor_ms'])} ({work})",
        *_elsewhere(found),
    ]


def _other_sizes(found: JsonView) -> list[str]:
    """What measures of the files say that the other lines do not."""
    from autocomp.measures import measures, measures_of_files

    figures = [figure for name in measures_of_files() for figure in measures.figures(name)]
    told = [f for f in figures if f.key not in TOLD and found.get(f.key) is not None]
    return [f"{f.label or f.key}: {found[f.key]:.4g} {f.unit}".rstrip() for f in told]


def _elsewhere(found: Contents) -> list[str]:
    from autocomp.cli._say import millis

    seen = found.get("predicted")
    if not seen:
        return []
    threads = "one thread" if seen["threads"] == 1 else f"{seen['threads']} threads"
    error = f"such predictions are off by {seen['median_error']:.0%}, median of files left out"
    return [f"{millis(seen['latency_ms'], predicted=True)} on {seen['device']}, {threads} ({error})"]


def _rows(found: Contents) -> list[list[str]]:
    """Vectors (norms) together in one row."""
    layers = [layer for layer in found["layers"] if len(layer["shape"]) == 2]
    vectors = [layer for layer in found["layers"] if len(layer["shape"]) != 2]
    rows = [_row(layer) for layer in layers]
    if vectors:
        count, share = sum(v["bytes"] for v in vectors), sum(v["time_share"] for v in vectors)
        rows.append([f"{len(vectors)} norms", "", "float32", "32", "", f"{count:,}", "", "", _percent(share)])
    return rows


def _row(layer: LayerContents) -> list[str]:
    rank = f" rank {layer['rank']}" if layer["rank"] else ""
    zeros = "" if layer["sparsity"] is None else _percent(layer["sparsity"])
    return [
        layer["layer"],
        "×".join(map(str, layer["shape"])) + rank,
        layer["numbers"] + (", sparse" if layer["is_stored_sparse"] else ""),
        str(layer["bits"]),
        zeros,
        f"{layer['bytes']:,}",
        ", ".join(layer["runs"]),
        f"{layer['macs'] / 1e6:.1f}" if layer["runs"] else "",
        _percent(layer["time_share"]),
    ]


def _total(found: Contents) -> list[str]:
    share = 1 - sum(layer["time_share"] for layer in found["layers"])
    return [
        "graph, and operators without weights",
        "",
        "",
        "",
        "",
        f"{found['graph_bytes']:,}",
        "",
        "",
        _percent(share),
    ]


def _operators(operators: Sequence[OperatorShare]) -> list[list[str]]:
    return [[o["operator"], _percent(o["time_share"])] for o in operators if o["time_share"] >= 0.005]


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
