"""`autocomp export RUN`."""

from __future__ import annotations

import argparse
from pathlib import Path

from autocomp.report.state import Member
from autocomp.strict_json import Json

SUMMARY = "copy one member of a front to a folder of its own, as files to run or weights to train"
EXAMPLES = (
    "autocomp export runs/demo --pick knee --out guard",
    "autocomp export runs/demo --pick 'accuracy>=0.95,latency_ms<=2' --out guard",
    "autocomp export runs/demo --pick m03 --out guard --json",
    "autocomp export runs/demo --pick best --as checkpoint --out guard-weights",
    "autocomp export runs/demo --pick m03 --as openvino --out guard-openvino",
)

_OURS = "autocomp.load loads it; it is no Hugging Face checkpoint, because {why}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="a run directory")
    parser.add_argument(
        "--pick",
        default="knee",
        metavar="WHICH",
        help="knee (default), fastest, smallest, best, an id, or limits such as 'accuracy>=0.95,latency_ms<=2' "
        "(score, latency_ms, latency_p95_ms, bytes, mb, times_smaller, times_faster): the best score within them",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder; never overwritten")
    parser.add_argument(
        "--as",
        dest="form",
        choices=("onnx", "checkpoint", "openvino"),
        default="onnx",
        help="onnx (default): the measured files; checkpoint: weights to train further, for transformers' "
        "from_pretrained where the shape is regular, else for autocomp.load; openvino: its IR of the same plan",
    )
    parser.add_argument("--json", action="store_true", help="the member as JSON, its `path` the copy")


def run(args: argparse.Namespace) -> int:
    """Copy a member, or write its checkpoint."""
    from autocomp.cli._say import print_json
    from autocomp.report.pick import pick
    from autocomp.report.summary import metric_words, summary

    found = summary(args.run_folder)
    member = pick(found, args.pick)
    forms = {"onnx": _files, "checkpoint": _checkpoint, "openvino": _converted}
    extra = forms[args.form](args, member, metric_words(found))
    if args.json:
        print_json({**member, "path": str(args.out.resolve()), **extra})
    return 0


def _files(args: argparse.Namespace, member: Member, metric: str) -> Json:
    from autocomp.cli._front import size_of, time_of
    from autocomp.cli._say import command
    from autocomp.report.pick import export
    from autocomp.report.summary import score_of

    export(member, args.out)
    if not args.json:
        score = "–" if score_of(member) is None else f"{score_of(member):.4f}"
        numbers = f"{size_of(member)}, {time_of(member)}, {metric} {score}"
        print(f"{args.out}: {member['id']} ({member.get('describe') or 'as it is'}): {numbers}")
        print(f"try it:  {command('predict', args.out, 'a text')}")
    return {}


def _checkpoint(args: argparse.Namespace, member: Member, metric: str) -> Json:
    from autocomp.pipeline.checkpoint_export import export_checkpoint

    why = export_checkpoint(member, args.out)
    if not args.json:
        print(f"{args.out}: weights of {member['id']} ({member.get('describe') or 'as it is'}); README.md tells more")
        print("a Hugging Face checkpoint: from_pretrained loads it" if why is None else _OURS.format(why=why))
    return {"form": "autocomp" if why else "hugging_face", "irregular": why}


def _converted(args: argparse.Namespace, member: Member, metric: str) -> Json:
    from autocomp.artifact.converting import convert_artifact
    from autocomp.artifact.files import artifact_bytes
    from autocomp.cli._front import size_of
    from autocomp.cli._say import command, size
    from autocomp.report.pick import files_of

    convert_artifact(files_of(member), args.out, args.form)
    if not args.json:
        now = f"{size(artifact_bytes(args.out))} instead of {size_of(member)}"
        print(f"{args.out}: {member['id']} for {args.form}, {now}; it answers as the ONNX file does")
        print(f"compare them:  {command('benchmark', files_of(member), args.out)}")
    return {"form": args.form, "bytes": artifact_bytes(args.out)}
