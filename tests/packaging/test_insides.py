"""Where autocomp relies on the inside of another library: in one file each, and each is as it was when it was read.

A test that fails here after an upgrade says that the file it names must be read against the new version.
"""

import ast
import multiprocessing.spawn
import re
import sys
from importlib.metadata import version
from pathlib import Path

import h11
import pytest
import ray.exceptions
import torch
import uvicorn
from ray.air.execution._internal import actor_manager
from ray.tune.execution import tune_controller
from ray.tune.experiment import Trial

from autocomp.errors import InputError
from autocomp.executors._spawning import Spawned, Spawning, without_main_script
from autocomp.executors.ray import _tune
from autocomp.models.profile import Allocations, tensors_of
from autocomp.report import _plotly
from autocomp.serving import _uvicorn
from autocomp.training import accelerator

ROOT = Path(__file__).parents[2]
DASHBOARDS = ROOT / "dashboards"
#: Each file that may name the private parts of a library, and those that it names.
INSIDES = {
    "autocomp/executors/ray/_tune.py": {"ray.air.execution._internal"},
    "autocomp/models/profile.py": {"torch.utils._python_dispatch"},
}
#: Names that begin with `_` and that their library documents.
DOCUMENTED = {"_replace", "_exit"}


def trees():
    for folder in ("autocomp", "benchmarks"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            if "_catalogue" not in file.parts:
                yield file.relative_to(ROOT).as_posix(), ast.parse(file.read_text(encoding="utf-8"))


def is_private(name):
    return name.startswith("_") and not name.endswith("__")


def own_names(tree):
    """What a file itself defines or assigns: functions, classes, fields and attributes."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    found = {node.name for node in ast.walk(tree) if isinstance(node, kinds)}
    stored = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)]
    names = {node.target.id for node in ast.walk(tree) if isinstance(node, ast.AnnAssign | ast.NamedExpr)
             and isinstance(node.target, ast.Name)}  # fmt: skip
    return found | names | {node.attr for node in stored if ast.unparse(node.value) in ("self", "cls")}


def private_imports(tree):
    """Modules of other packages, or names in them, that begin with `_`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] not in ("autocomp", "__future__"):
            beside = (ROOT / "benchmarks" / f"{node.module}.py").is_file()
            dotted = [*node.module.split("."), *(alias.name for alias in node.names)]
            yield from [] if beside else [node.module] * any(is_private(name) for name in dotted)
        elif isinstance(node, ast.Import):
            named = [alias.name for alias in node.names if not (ROOT / "benchmarks" / f"{alias.name}.py").is_file()]
            yield from [name for name in named if any(is_private(part) for part in name.split("."))]


def test_private_modules_are_imported_in_one_file_each():
    found = {name: set(private_imports(tree)) for name, tree in trees()}
    assert {name: modules for name, modules in found.items() if modules} == INSIDES


def test_no_private_attribute_of_another_library_is_read():
    """An attribute that begins with `_` is one that the same file defines."""
    wrong = []
    for name, tree in trees():
        own = own_names(tree) | DOCUMENTED
        reads = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_private(node.attr)]
        wrong += [f"{name}:{node.lineno} {ast.unparse(node)}" for node in reads if node.attr not in own]
    assert wrong == []


def imported_from_others(tree):
    """Names that a file gives to other packages' modules and what it takes from them."""
    for node in ast.walk(tree):
        others = isinstance(node, ast.ImportFrom) and node.module.split(".")[0] != "autocomp"
        if others or isinstance(node, ast.Import):
            yield from (alias.asname or alias.name for alias in node.names)


def test_no_other_module_is_changed():
    """Nothing is assigned to names in other packages' modules, where all of the process would see it."""
    wrong = []
    for name, tree in trees():
        others = set(imported_from_others(tree))
        stored = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        changed = [node for node in stored if isinstance(node.ctx, ast.Store) and ast.unparse(node.value) in others]
        wrong += [f"{name}:{node.lineno} {ast.unparse(node)}" for node in changed if node.attr != "environ"]
    assert wrong == []


def test_tune_is_the_one_that_was_read():
    assert version("ray").startswith(f"{_tune.READ_FOR}.")
    assert _tune.is_as_read()


def test_tunes_names_are_replaced_only_while_a_study_needs_them():
    own = ray.exceptions.RayActorError
    assert (actor_manager.RayActorError, tune_controller.RayActorError) == (own, own)
    with _tune.all_deaths_are_of_trials():
        with _tune.all_deaths_are_of_trials():
            pass
        assert actor_manager.RayActorError is tune_controller.RayActorError is _tune.DEATHS
    assert (actor_manager.RayActorError, tune_controller.RayActorError) == (own, own)


def test_another_tune_is_left_as_it_is_with_a_warning(monkeypatch):
    monkeypatch.delattr(tune_controller, "RayActorError")
    warned = pytest.warns(RuntimeWarning, match=r"knows the inside of Ray Tune 2\.60, .* install ray==2\.60")
    with warned, _tune.all_deaths_are_of_trials():
        assert actor_manager.RayActorError is ray.exceptions.RayActorError


def test_tune_writes_a_trials_errors_as_they_are_read(tmp_path, monkeypatch):
    trial = Trial("none", stub=True)
    monkeypatch.setattr(Trial, "local_path", str(tmp_path))
    for text in ("one\nand more", "two\nand more"):
        trial.handle_error(RuntimeError(text))
    assert _tune.last_words_of(trial) == "two" and _tune.error_of(trial) is None


def test_multiprocessing_runs_again_what_the_main_module_names(monkeypatch):
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__spec__", None, raising=False)
    monkeypatch.setattr(main, "__file__", "/script.py", raising=False)
    assert multiprocessing.spawn.get_preparation_data("one")["init_main_from_path"] == "/script.py"
    with without_main_script():
        assert not {"init_main_from_path", "init_main_from_name"} & set(
            multiprocessing.spawn.get_preparation_data("one")
        )
    assert sys.modules["__main__"] is main


def test_a_pool_asks_its_context_for_each_process():
    from concurrent.futures import ProcessPoolExecutor

    context = Spawning()
    with ProcessPoolExecutor(1, context) as pool:
        assert pool.submit(abs, -1).result(60) == 1
    assert [type(process) for process in context.started] == [Spawned]


def test_plotlys_script_lies_and_begins_where_it_was_read():
    assert version("plotly").startswith("7.1.")
    script = _plotly.script_file().read_text(encoding="utf-8")
    assert script.count(_plotly.START) == script.count(_plotly.END) == 1
    assert len(_plotly.compiled_at_once(script)) == len(script) + 2
    assert _plotly.compiled_at_once("another script") == "another script"


def test_pages_know_plotlys_inside_in_one_file_and_it_is_so():
    """Names with `_` that scripts read of others' objects; `.target._x` and the like would be found too."""
    read = {file.name: set(re.findall(r"\.(_\w+)", file.read_text("utf-8"))) for file in DASHBOARDS.glob("*.js")}
    assert {name: found for name, found in read.items() if found} == {
        "plotly_axes.js": {"_fullLayout", "_length", "_offset"}
    }
    script = _plotly.script_file().read_text(encoding="utf-8")
    assert script.startswith("/**\n* plotly.js v4.1.")
    assert all(f".{name}" in script for name in ("_fullLayout", "_length", "_offset", "d2p"))


def test_uvicorn_is_the_one_that_was_read():
    assert version("uvicorn").startswith(f"{_uvicorn.READ_FOR}.")
    _uvicorn.check_as_read()
    states = h11.Connection(h11.SERVER)
    assert (states.their_state, states.our_state) == (h11.IDLE, h11.IDLE)


def test_another_uvicorn_is_refused(monkeypatch):
    monkeypatch.setattr(_uvicorn.H11Protocol, "send_400_response", lambda self, status, msg: None)
    with pytest.raises(InputError, match=r"limits are written for uvicorn 0\.54, and uvicorn .* is built otherwise"):
        _uvicorn.check_as_read()
    monkeypatch.undo()
    monkeypatch.delattr(uvicorn.Server, "handle_exit")
    with pytest.raises(InputError, match="pip install 'uvicorn"):
        _uvicorn.check_as_read()


def test_torch_tells_every_operations_results():
    told = []
    x = torch.ones(4, 5)
    with Allocations(told.append):
        y = x + 1
        y.view(20)
    assert told == [80, 0]
    assert len(list(tensors_of({"a": [x, (y, 3)], "b": None}))) == 2


def test_torch_tells_whether_the_cpu_multiplies_bf16(monkeypatch):
    assert hasattr(torch.ops.mkldnn, accelerator.NATIVE_BF16)
    assert isinstance(accelerator.cpu_has_bf16(), bool)
    monkeypatch.setattr(accelerator, "NATIVE_BF16", "_gone")
    assert accelerator.cpu_has_bf16() is False
