"""The rules of docs/architecture.md that a machine can check: who may import what, and how large things may grow."""

import ast
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "autocomp"
FILES = sorted(p for p in PACKAGE.rglob("*.py") if "_catalogue" not in p.parts)
TREES = {p.relative_to(ROOT).as_posix(): ast.parse(p.read_text(encoding="utf-8"), str(p)) for p in FILES}

HEAVY = {
    "torch",
    "transformers",
    "datasets",
    "optuna",
    "ray",
    "onnxruntime",
    "onnx",
    "openvino",
    "sklearn",
    "scipy",
    "plotly",
    "starlette",
    "uvicorn",
    "mlflow",
    "tensorboardX",
}
CORE_MAY = {"numpy", "yaml", "pydantic"}
#: Libraries that stand behind one adapter each: the only places where their name may be imported.
ADAPTERS = {
    "optuna": ("autocomp/searchers/", "autocomp/publishing/optuna.py"),
    "onnxruntime": "autocomp/artifact/",
    "openvino": "autocomp/artifact/runtimes/openvino.py",
    "ray": "autocomp/executors/ray/",
    "plotly": "autocomp/report/",
    "starlette": "autocomp/serving/",
    "uvicorn": "autocomp/serving/",
    "h11": "autocomp/serving/",
    "tensorboardX": "autocomp/publishing/tensorboard.py",
    "mlflow": "autocomp/publishing/mlflow.py",
}
#: Imports point inwards: a room may be imported only by rooms of a higher rank, so no two import each other.
RANKS = {
    "formats": 1, "heads": 1, "metrics": 1, "searchers": 1, "executors": 1, "tokenizers": 1, "journal": 1,
    "exit_rules": 2, "tasks": 2, "architectures": 2,
    "models": 3,
    "artifact": 4, "training": 4,
    "inspection": 5, "techniques": 5,
    "measures": 6,
    "devices": 7, "report": 7,
    "pipeline": 8, "serving": 8, "publishing": 8,
    "study": 9,
    "testing": 10,
    "cli": 11,
}  # fmt: skip
UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but what stands under `if TYPE_CHECKING:`, which only a type checker reads."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def imports(tree: ast.AST, nodes: Callable[[ast.AST], Iterable[ast.AST]]) -> set[str]:
    """Dotted names of everything a module imports, at its top or inside a function, among some of its nodes."""
    found = set()
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


IMPORTS = {name: imports(tree, executed) for name, tree in TREES.items()}
NAMED = {name: imports(tree, ast.walk) for name, tree in TREES.items()}
TOPS = {name: {dotted.split(".")[0] for dotted in dotteds} for name, dotteds in IMPORTS.items()}
CORE = [n for n in TREES if n.count("/") == 1 and Path(n).stem not in {"__init__", "__main__", "api"}]


def rooms(name: str) -> set[str]:
    """The rooms of autocomp that a file imports from."""
    parts = (dotted.split(".") for dotted in IMPORTS[name])
    return {p[1] for p in parts if p[0] == "autocomp" and len(p) > 1 and p[1] in RANKS}


def named_rooms(name: str) -> set[str]:
    """The same, with what only a type checker reads."""
    parts = (dotted.split(".") for dotted in NAMED[name])
    return {p[1] for p in parts if p[0] == "autocomp" and len(p) > 1 and p[1] in RANKS}


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function from its `def` to its end, without its docstring."""
    docstring = ast.get_docstring(function, clean=False)
    lines = function.end_lineno - function.lineno + 1
    return lines - (function.body[0].end_lineno - function.body[0].lineno + 1 if docstring is not None else 0)


def functions() -> dict[str, int]:
    """`{file:line name: lines}` of every function in the package."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {
        f"{name}:{node.lineno} {node.name}": body_lines(node)
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, kinds)
    }


def test_core_is_light_and_knows_no_room():
    assert len(CORE) >= 10
    third_party = {n: TOPS[n] - sys.stdlib_module_names - CORE_MAY - {"autocomp", "__future__"} for n in CORE}
    assert {n: found for n, found in third_party.items() if found} == {}
    assert {n: rooms(n) for n in CORE if rooms(n)} == {}


def test_imports_point_inwards():
    """Strictly: rooms of one rank do not import each other either, for types or when they run."""
    wrong = []
    for name in TREES:
        own = name.split("/")[1]
        others = named_rooms(name) - {own} if own in RANKS else set()
        wrong += [f"{name} imports autocomp.{room}" for room in others if RANKS[room] >= RANKS[own]]
    assert wrong == []


def test_no_files_import_each_other_in_a_circle():
    """A circle ties all its files into one: none can be read, tested or replaced alone."""
    modules = {name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): name for name in TREES}
    ahead = {m: {x for x in NAMED[name] if x in modules and x != m and m != "autocomp"} for m, name in modules.items()}
    while True:  # what imports nothing that is left, or is imported by nothing that is left, is in no circle
        behind = set().union(*ahead.values()) if ahead else set()
        kept = {m: names & set(ahead) for m, names in ahead.items() if m in behind and names & set(ahead)}
        if kept == ahead:
            break
        ahead = kept
    assert sorted(ahead) == []


def test_every_room_has_a_rank():
    assert {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").is_file()} <= set(RANKS)


@pytest.mark.parametrize("library", ADAPTERS)
def test_a_library_behind_an_adapter_is_imported_nowhere_else(library):
    assert [n for n in TREES if library in TOPS[n] and not n.startswith(ADAPTERS[library])] == []


def test_no_technique_imports_another():
    own = [n for n in TREES if n.startswith("autocomp/techniques/")]
    members = {Path(n).stem for n in own if not Path(n).stem.startswith("_")}
    wrong = {n: sorted(m for m in members if f"autocomp.techniques.{m}" in IMPORTS[n]) for n in own}
    assert {n: found for n, found in wrong.items() if found} == {}


@pytest.mark.parametrize("room", ["artifact", "report"])
def test_a_room_needs_no_torch(room):
    wrong = [n for n in TREES if n.startswith(f"autocomp/{room}/") and TOPS[n] & {"torch", "transformers", "datasets"}]
    assert wrong == []


def test_nothing_unpickles_or_runs_remote_code():
    wrong = [n for n in TREES if TOPS[n] & UNSAFE]
    for name, tree in TREES.items():
        text = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        wrong += [name] if {"torch.load", "eval", "exec"} & text else []
        flags = [k for node in ast.walk(tree) if isinstance(node, ast.Call) for k in node.keywords]
        switched = [k.arg for k in flags if isinstance(k.value, ast.Constant) and k.value.value is True]
        wrong += [name] if {"trust_remote_code", "allow_pickle"} & set(switched) else []
    assert wrong == []


def test_writing_aside_and_renaming_is_in_one_file():
    wrong = []
    for name, tree in TREES.items():
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        temporary = [c for c in calls if ast.unparse(c.func).endswith(("mkdtemp", "TemporaryDirectory"))]
        beside = [c for c in temporary if any(keyword.arg == "dir" for keyword in c.keywords)]
        wrong += [name] if beside or {"os.replace", "os.rename"} & {ast.unparse(c.func) for c in calls} else []
    assert set(wrong) == {"autocomp/storage.py"}


def test_latencies_have_one_clock():
    names = {
        name: {ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute)} for name, tree in TREES.items()
    }
    assert [name for name, found in names.items() if "time.perf_counter" in found] == ["autocomp/timing.py"]
    assert [name for name in TREES if "time.perf_counter" in IMPORTS[name]] == []


def test_files_functions_and_names_stay_small():
    sizes = {n: len((ROOT / n).read_text(encoding="utf-8").splitlines()) for n in TREES}
    assert {n: size for n, size in sizes.items() if size > 400} == {}
    assert {name: lines for name, lines in functions().items() if lines > 60} == {}
    assert statistics.median(functions().values()) < 10
    assert [n for n in TREES if Path(n).stem in {"utils", "util", "helpers", "common", "misc", "manager"}] == []


def test_catalogue_folders_hold_no_python():
    kinds = ["search_spaces", "objectives", "dashboards", "studies", "devices"]
    assert [str(p) for kind in kinds for p in (ROOT / kind).rglob("*.py")] == []


def loaded_after(statement: str) -> set[str]:
    """Heavy libraries in memory of a new process after a statement."""
    code = f"import sys\ntry:\n    {statement}\nexcept SystemExit:\n    pass\nprint('LOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.rsplit("LOADED", 1)[1].split())


def test_import_leaves_the_heavy_libraries_out():
    assert loaded_after("import autocomp, autocomp.catalogue, autocomp.registry, autocomp.pareto") == set()


@pytest.mark.parametrize("arguments", [["--help"], ["search", "--help"], ["list", "techniques"]])
def test_help_and_listing_leave_the_heavy_libraries_out(arguments):
    assert loaded_after(f"from autocomp.cli import main; main({arguments!r})") == set()


def test_loading_an_artifact_needs_no_training_library():
    assert loaded_after("import autocomp.artifact.loader") <= {"onnxruntime", "onnx"}


PARTS_OF_A_MODEL = {"depth", "exits", "feed_forward", "sparsity", "vocabulary"}
"""Techniques that are named like what they change: reports have keys of these names."""


@pytest.mark.parametrize("room", ["report", "publishing", "cli", "serving"])
def test_who_shows_runs_knows_no_technique_by_name(room):
    """What a technique does to a model it declares itself (`Technique.planned`, `describe`, `explain`)."""
    names = {p.stem for p in (PACKAGE / "techniques").glob("[!_]*.py")}
    assert names > PARTS_OF_A_MODEL
    wrong = []
    for name, tree in TREES.items():
        if name.startswith(f"autocomp/{room}/"):
            wrong += [f"{name} imports {m}" for m in IMPORTS[name] if m.removeprefix("autocomp.techniques.") in names]
            texts = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and n.value in names - PARTS_OF_A_MODEL]
            wrong += [f"{name}:{node.lineno} names {node.value}" for node in texts]
            wrong += [f"{name}:{n.lineno} asks for one's options" for n in ast.walk(tree) if asks_for_options(n, names)]
    assert wrong == []


def asks_for_options(node: ast.AST, names: set[str]) -> bool:
    """`plan.options("depth")`, `techniques["depth"]`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "options":
        return any(isinstance(argument, ast.Constant) for argument in node.args)
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "techniques":
        return isinstance(node.slice, ast.Constant) and node.slice.value in names
    return False
