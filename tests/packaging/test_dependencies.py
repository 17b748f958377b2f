"""pyproject.toml, constraints.txt and the imports say the same."""

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: Packages whose import name is not their own name.
IMPORT_NAMES = {
    "pyyaml": "yaml", "scikit-learn": "sklearn", "huggingface-hub": "huggingface_hub",
    "tensorboardx": "tensorboardX", "mlflow-skinny": "mlflow",
}  # fmt: skip


def name_of(requirement: str) -> str:
    """`scikit-learn>=1.5` is `scikit-learn`."""
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def imported() -> set[str]:
    """Top-level names of the third-party packages that autocomp imports."""
    found = set()
    for file in (ROOT / "autocomp").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module.split(".")[0])
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.util.find_spec":
                found |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return found - sys.stdlib_module_names - {"autocomp", "__future__"}


def declared() -> set[str]:
    """Import names of the run-time dependencies."""
    return {IMPORT_NAMES.get(name_of(r), name_of(r)) for r in PROJECT["dependencies"]}


def test_every_import_is_declared():
    extras = {IMPORT_NAMES.get(name_of(r), name_of(r)) for rs in PROJECT["optional-dependencies"].values() for r in rs}
    assert imported() - declared() <= extras


def test_every_dependency_is_imported():
    assert declared() - imported() == set()


def test_constraints_pin_every_dependency_exactly():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    wanted = [*PROJECT["dependencies"], *(r for rs in PROJECT["optional-dependencies"].values() for r in rs)]
    assert {name_of(r) for r in wanted} - {name_of(p) for p in pins} == set()
    assert pins["torch"] == "2.13.0"


def test_comments_name_files_that_exist():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = re.findall(r"# ((?:autocomp|tests)/[\w./]*)", text)
    assert len(named) >= len(PROJECT["dependencies"])
    assert [n for n in named if not (ROOT / n).exists()] == []
