"""`autocomp list KIND`."""

from __future__ import annotations

import argparse
from pathlib import Path

# kind: package of a registry. Summaries are read from source files, so that nothing heavy is imported.
REGISTRIES = {
    "techniques": "autocomp.techniques",
    "architectures": "autocomp.architectures",
    "tasks": "autocomp.tasks",
    "heads": "autocomp.heads",
    "losses": "autocomp.training.losses",
    "metrics": "autocomp.metrics",
    "searchers": "autocomp.searchers",
    "measures": "autocomp.measures",
    "targets": "autocomp.publishing",
}
CATALOGUES = {"spaces": "search_spaces", "objectives": "objectives", "devices": "devices", "studies": "studies"}
KINDS = (*REGISTRIES, *CATALOGUES, "dashboards")

SUMMARY = "list what there is of one kind, each with one line about it"
EXAMPLES = ("autocomp list tasks", "autocomp list spaces --include my_folder", "autocomp list techniques --json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("kind", metavar="KIND", choices=KINDS, help=", ".join(KINDS))
    parser.add_argument(
        "--include", action="append", type=Path, default=[], metavar="DIR", help="also look in this folder"
    )
    parser.add_argument("--json", action="store_true", help="[{name, summary, source}] as JSON")


def run(args: argparse.Namespace) -> int:
    """Print names and summaries."""
    from autocomp.cli._say import print_json, text_table

    found = entries(args.kind, args.include)
    if args.json:
        print_json(found)
    elif found:
        rows = [[entry["name"], entry["summary"]] for entry in found]
        print(text_table(["name", "summary"], rows, ("name", "summary")))
    return 0


def entries(kind: str, include: list[Path]) -> list[dict[str, str]]:
    """`[{"name", "summary", "source"}]` of one kind, sorted by name."""
    if kind in REGISTRIES:
        return _registered(kind)
    if kind == "dashboards":
        from autocomp.report.page import pages

        return [{"name": n, "summary": _page_summary(f), "source": str(f)} for n, f in pages(include).items()]
    from autocomp.catalogue import find_all, read_yaml

    files = find_all(CATALOGUES[kind], include)
    return [
        {"name": n, "summary": str(read_yaml(f).get("summary", "")), "source": str(f)} for n, f in sorted(files.items())
    ]


def _registered(kind: str) -> list[dict[str, str]]:
    from autocomp.registry import Registry

    registry: Registry[object] = Registry(kind, REGISTRIES[kind], "")
    return [
        {"name": name, "summary": _docstring(registry.origin(name)), "source": registry.origin(name)}
        for name in registry.names()
    ]


def _docstring(origin: str) -> str:
    """First line of a module's docstring, from its source."""
    import ast
    import importlib.util

    spec = importlib.util.find_spec(origin.split(":")[0])
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return ""
    text = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))
    return " ".join((text or "").split("\n\n")[0].split())


def _page_summary(file: Path) -> str:
    import re
    from html import unescape

    match = re.search(r'<meta name="description" content="([^"]*)"', file.read_text(encoding="utf-8"))
    return unescape(match[1]) if match else ""
