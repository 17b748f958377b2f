"""What a key says of code: all that runs counts, and nothing else does."""

import ast
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from autocomp import sources
from autocomp.result_cache import CODE
from autocomp.sources import PACKAGE, code_of, imports, modules_of, reach

FILES = sorted(PACKAGE.rglob("*.py"))
SHOWN = tuple(f"autocomp.{room}" for room in ("cli", "report", "serving", "publishing", "api", "testing"))
REMEMBERED = [f for f in vars(sources).values() if hasattr(f, "cache_clear")]


def forget():
    for remembered in REMEMBERED:
        remembered.cache_clear()


@pytest.fixture(autouse=True)
def remembers_nothing():
    yield
    forget()


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The package, to be changed."""
    folder = tmp_path_factory.mktemp("copy") / "autocomp"
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def versions(root):
    forget()
    return {kind: code_of(module, root) for kind, module in CODE.items()}


def version(kind, root):
    forget()
    return code_of(CODE[kind], root)


def parsed(file):
    """What a file imports when it runs, and the packages of its registries, by Python's own parser."""
    names, registries, waiting = set(), set(), [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        waiting += node.orelse if is_for_types(node) else ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).partition("[")[0] == "Registry":
            registries |= {a.value for a in node.args[1:2] if isinstance(a, ast.Constant)}
    return names, registries


def is_for_types(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def test_imports_are_read_as_python_parses_them():
    assert len(FILES) > 200
    found, expected = ({file: how(file) for file in FILES} for how in (imports, parsed))
    assert {file: one[1] for file, one in found.items()} == {file: one[1] for file, one in expected.items()}
    assert [file for file in FILES if not found[file][0] >= expected[file][0]] == []
    more = {file.stem for file in FILES if found[file][0] != expected[file][0]}
    assert more == {"architecture_contract", "resident_memory", "runs", "technique_contract"}  # which hold code as text


def test_nothing_is_imported_by_a_name_that_only_runs_know():
    dynamic = [f.relative_to(PACKAGE).as_posix() for f in FILES if "import_module" in f.read_text(encoding="utf-8")]
    reached = {file for module in CODE.values() for file in reach(module).modules.values()}
    assert [name for name in dynamic if PACKAGE / name in reached] == ["registry.py"]


@pytest.mark.parametrize(
    ("kind", "module"),
    [
        ("data", "pipeline/context"),
        ("data", "tasks/_base"),
        ("teacher", "pipeline/teacher"),
        ("teacher", "training/loop"),
        ("teacher", "models/encoder"),
        ("knowledge", "models/importance"),
        ("knowledge", "tokenizers/vocabulary"),
        ("baseline", "pipeline/baselines"),
        ("baseline", "pipeline/evaluate"),
        ("baseline", "artifact/writer"),
        ("baseline", "measures/latency"),
        ("student", "pipeline/students"),
        ("student", "pipeline/plans"),
        ("student", "plan"),
        ("student", "space"),
        ("student", "techniques/depth"),
        ("student", "training/recovery"),
        ("student", "models/slicing"),
        ("artifact", "pipeline/export"),
        ("artifact", "pipeline/verify"),
        ("artifact", "formats/packing/planes"),
        ("artifact", "formats/numbers/codebook"),
        ("artifact", "techniques/linear_bits"),
        ("artifact", "metrics/accuracy"),
    ],
)
def test_a_change_in_what_makes_a_stage_changes_its_key(copy, kind, module):
    before, file = version(kind, copy), copy / f"{module}.py"
    text = file.read_text(encoding="utf-8")
    try:
        file.write_text(f"{text}\n# changed\n", encoding="utf-8")
        assert version(kind, copy) != before
    finally:
        file.write_text(text, encoding="utf-8")
    assert version(kind, copy) == before == version(kind, PACKAGE)


@pytest.mark.parametrize("kind", CODE)
def test_all_that_a_kind_imports_counts_and_nothing_that_only_shows(copy, kind):
    before, reached = version(kind, copy), reach(CODE[kind], copy).modules
    assert not [name for name in reached if name.startswith(SHOWN)]
    for name, file in modules_of(copy).items():
        if name.startswith(SHOWN):
            file.write_text(file.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    assert version(kind, copy) == before
    loaded = {name for name in followed(CODE[kind], copy) if name in modules_of(copy)}
    assert loaded <= set(reached) and len(loaded) > 10


def followed(module, root):
    """All that is imported on the way from a module, by Python's own parser."""
    found, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name not in found and name in modules_of(root):
            found.add(name)
            waiting += parsed(modules_of(root)[name])[0]
    return found


def test_versions_of_the_libraries_that_compute_count(monkeypatch):
    before, real = versions(PACKAGE), sources.version_of
    said = {"teacher": {"torch", "tokenizers", "safetensors", "numpy"}, "artifact": {"onnx", "onnxruntime", "torch"}}
    for kind, libraries in said.items():
        for library in libraries:
            monkeypatch.setattr(sources, "version_of", lambda name: "0" if name == library else real(name))  # noqa: B023
            assert code_of(CODE[kind]) != before[kind], library
    monkeypatch.setattr(sources, "version_of", lambda name: "0" if name in sources.READERS else real(name))
    assert {kind: code_of(module) for kind, module in CODE.items()} == before


def test_a_build_for_gpus_is_the_same_version(monkeypatch):
    monkeypatch.setattr(sources.importlib.metadata, "version", lambda name: "2.13.0+cu130")
    assert sources.version_of("torch") == "2.13.0"
    assert sources.DISTRIBUTIONS["sklearn"] == "scikit-learn"


PLUGIN = """
    from autocomp.report.lock import Lock
    import json, math
    technique = None
    """


def plug_in(site, version="1", source=PLUGIN, helper="x = 1", group="autocomp.techniques"):
    """An installed distribution with one technique, and a package beside it whose code that uses."""
    shutil.rmtree(site, ignore_errors=True)
    info, package = site / "mine-1.dist-info", site / "mine_helper"
    info.mkdir(parents=True)
    package.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mine\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[{group}]\nmine = mine_technique:technique\n")
    (info / "RECORD").write_text("mine_technique.py,,\nmine_helper/__init__.py,,\n")
    (site / "mine_technique.py").write_text(textwrap.dedent(source))
    (package / "__init__.py").write_text(helper)


def test_the_files_of_plug_ins_count_where_they_can_act(tmp_path, monkeypatch):
    clean = versions(PACKAGE)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    found = []
    for change in ({}, {"version": "2"}, {"source": PLUGIN + "# other"}, {"helper": "x = 2"}, {}):
        plug_in(tmp_path / "site", **change)
        found.append(versions(PACKAGE))
    assert len({one["student"] for one in found} | {clean["student"]}) == 5 and found[0] == found[4]
    assert {one["data"] for one in found} == {clean["data"]}
    assert "autocomp.report.lock" in reach(CODE["student"]).modules
    plug_in(tmp_path / "site", group="autocomp.publishing")
    assert versions(PACKAGE) == clean


def test_another_process_says_the_same(tmp_path):
    ask = "from autocomp.result_cache import *; print({kind: code_version(kind) for kind in CODE})"
    env = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "PYTHONHASHSEED": "7"}
    said = subprocess.run(
        [sys.executable, "-c", ask], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ast.literal_eval(said.stdout) == versions(PACKAGE)


def test_a_namespace_is_not_read_whole(tmp_path, monkeypatch):
    for name in ("mine", "theirs"):
        (tmp_path / "company_space" / name).mkdir(parents=True)
        (tmp_path / "company_space" / name / "code.py").write_text("x = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = sources._sources("company_space", "company_space.mine.code")
    assert [name for name, _ in found] == ["mine/code.py"]
    assert sources._sources("no_such_module", "no_such_module") == []
    assert [Path(f).name for _, f in sources._sources("json", "json")][:1] == ["__init__.py"]
