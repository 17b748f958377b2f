"""The README's figures are those of the committed results."""

import ast
import importlib.util
import json
import re
from pathlib import Path

from autocomp.executors import Executor

ROOT = Path(__file__).parents[2]


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_shows_the_committed_results():
    readme = load("readme")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.block() in text, "run: python benchmarks/readme.py"


def test_errors_of_predictions_are_those_of_the_committed_results():
    text = (ROOT / "docs" / "devices.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .*? \| (\d+) % \| (\d+) % \| (\d+) % \|$", text, re.M)
    results = [ROOT / "benchmarks" / "results" / f"prediction{kind}.json" for kind in ("", "-vnni")]
    errors = [found for file in results for found in json.loads(file.read_text(encoding="utf-8"))["errors"].values()]
    assert rows == [tuple(f"{100 * one[key]:.0f}" for key in ("median", "p90", "worst")) for one in errors]


def test_members_shown_are_spread_over_all():
    members = [{"id": i} for i in range(20)]
    shown = load("readme").spread(members, 8)
    assert len(shown) == 8 and shown[0] == members[0] and shown[-1] == members[-1]
    assert load("readme").spread(members[:3], 8) == members[:3]


def test_the_simulated_crowd_has_what_the_loop_asks_of_an_executor():
    tree = ast.parse((ROOT / "benchmarks" / "_replay.py").read_text(encoding="utf-8"))
    [crowd] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "SimulatedExecutor"]
    has = {node.name for node in crowd.body if isinstance(node, ast.FunctionDef)}
    assert {name for name in vars(Executor) if not name.startswith("_")} - has == {"workers", "close"}


def test_the_figures_of_the_house_are_counted(tmp_path):
    house = load("house")
    found = house.house(ROOT)
    assert (found["circles_of_files"], found["circles_of_rooms"]) == ([], [])
    assert found["files"] > 200 and found["median_function_lines"] < 10 and found["longest_function_lines"] <= 60
    assert re.search(rf"^untyped lines +{found['untyped_lines']}$", house.as_text(found), re.M)
    package = tmp_path / "autocomp"
    texts = {"a": "from autocomp.b import x", "b": "import autocomp.a", "c": "def f(y: dict[str, Any]): ..."}
    for name, text in texts.items():
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").write_text(text + "\n", encoding="utf-8")
    found = house.house(tmp_path)
    assert found["circles_of_files"] == [["autocomp.a", "autocomp.b"]] and found["circles_of_rooms"] == [["a", "b"]]
    assert (found["room_crossings"], found["untyped_lines"], found["functions"]) == (2, 1, 1)
