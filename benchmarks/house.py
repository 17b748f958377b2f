"""How is the code built? Sizes of files and functions, untyped lines, circles of files, and crossings between rooms.

    python benchmarks/house.py [FOLDER] [--json]

FOLDER is a checkout; by default this one. Only what is written is read: nothing is imported.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import statistics
from collections import Counter
from pathlib import Path

UNTYPED = re.compile(r"\b(dict|Mapping)\[str, Any\]")
EDGES = re.compile(r"(->|[:\[(|,=]) ?(Json|JsonView)\b")
"""Where JSON is named as JSON: on its way into a type or out of one."""
SMALL = 60
"""A file with fewer lines is a small one."""
Graph = dict[str, set[str]]


def house(checkout: Path) -> dict[str, object]:
    """All figures of a checkout's package."""
    package = checkout / "autocomp"
    texts = {p: p.read_text(encoding="utf-8") for p in sorted(package.rglob("*.py")) if "_catalogue" not in p.parts}
    trees = {module_of(p, checkout): ast.parse(text) for p, text in texts.items()}
    lines = [len(text.splitlines()) for text in texts.values()]
    bodies = [length(node) for tree in trees.values() for node in ast.walk(tree) if is_function(node)]
    imports = {name: {other for other in named(tree) if other in trees} - {name} for name, tree in trees.items()}
    arrows = crossings(imports, package)
    return {
        "files": len(lines),
        "median_lines": statistics.median(lines),
        "files_under_60_lines": sum(count < SMALL for count in lines),
        "functions": len(bodies),
        "median_function_lines": statistics.median(bodies),
        "longest_function_lines": max(bodies),
        "untyped_lines": sum(bool(UNTYPED.search(line)) for text in texts.values() for line in text.splitlines()),
        "json_edge_lines": sum(bool(EDGES.search(line)) for text in texts.values() for line in text.splitlines()),
        "circles_of_files": circles({name: others - {"autocomp"} for name, others in imports.items()}),
        "circles_of_rooms": circles(_rooms_ahead(arrows)),
        "room_arrows": len(arrows),
        "room_crossings": sum(arrows.values()),
    }


def module_of(file: Path, checkout: Path) -> str:
    """The dotted name by which a file is imported."""
    return ".".join(file.relative_to(checkout).with_suffix("").parts).removesuffix(".__init__")


def is_function(node: ast.AST) -> bool:
    """Whether a piece of code is a function or a method."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def length(function: ast.AST) -> int:
    """Lines of a function from its `def` to its end, without its docstring."""
    assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is None:
        return lines
    return lines - ((function.body[0].end_lineno or 0) - function.body[0].lineno + 1)


def named(tree: ast.AST) -> set[str]:
    """Dotted names of everything that a module imports, for types and inside functions too."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def circles(graph: Graph) -> list[list[str]]:
    """What imports each other, directly or by way of others: one sorted list for each circle."""
    reached = {name: _reached(graph, name) for name in graph}
    tied = {frozenset(m for m in reached[n] if n in reached[m]) for n in graph if n in reached[n]}
    return sorted(sorted(members) for members in tied)


def _reached(graph: Graph, start: str) -> set[str]:
    """All that can be come to from a start, itself only if there is a way back."""
    seen: set[str] = set()
    waiting = [*graph[start]]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += graph.get(name, ())
    return seen


def crossings(imports: Graph, package: Path) -> Counter[tuple[str, str]]:
    """How many files of one room import from another, by the pair; files of the package itself are no room."""
    rooms = {p.name for p in package.iterdir() if (p / "__init__.py").is_file()}
    found: Counter[tuple[str, str]] = Counter()
    for name, others in imports.items():
        own = _room(name, rooms)
        aside = {_room(other, rooms) for other in others} - {own, None}
        found.update((own, room) for room in aside if own and room)
    return found


def _room(module: str, rooms: set[str]) -> str | None:
    part = module.split(".")[1] if "." in module else ""
    return part if part in rooms else None


def _rooms_ahead(arrows: Counter[tuple[str, str]]) -> Graph:
    ahead: Graph = {room: set() for pair in arrows for room in pair}
    for own, other in arrows:
        ahead[own].add(other)
    return ahead


def as_text(found: dict[str, object]) -> str:
    """A line a figure; a circle is a line of its own."""
    lines = []
    for name, value in found.items():
        shown = len(value) if isinstance(value, list) else value
        lines.append(f"{name.replace('_', ' '):<24}{shown:>8}")
        lines += [f"    {' - '.join(circle)}" for circle in value] if isinstance(value, list) else []
    return "\n".join(lines)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parents[1], help="a checkout")
    parser.add_argument("--json", action="store_true", help="as JSON")
    args = parser.parse_args()
    found = house(args.folder)
    print(json.dumps(found, indent=1) if args.json else as_text(found))


if __name__ == "__main__":
    main()
