"""No process of ours lets a library tell its makers anything, or write down what it would tell."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autocomp.pipeline.export import write_artifact
from autocomp.testing.models import random_student, tiny_shape
from autocomp.testing.runs import write_run

ROOT = Path(__file__).parents[1]
TELLING = ("onnxruntime", "huggingface_hub", "transformers", "datasets", "ray", "mlflow")
SWITCHES = (
    "ORT_DISABLE_TELEMETRY",
    "HF_HUB_DISABLE_TELEMETRY",
    "HF_UPDATE_DOWNLOAD_COUNTS",
    "RAY_USAGE_STATS_ENABLED",
    "MLFLOW_DISABLE_TELEMETRY",
)
CI_SERVICES = ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD", "CIRCLECI", "TRAVIS", "JENKINS_URL", "BUILD_ID")
WORK = """
def work(job):
    import autocomp
    return {"label": autocomp.load(job["folder"]).predict("a good film")[0].label}
"""
DRIVER = """
import sys
from autocomp.executors.local import LocalExecutor
from predicting import work  # a worker imports it from there: it sees nothing of this script

executor = LocalExecutor(work, 1, 1)
executor.submit({"folder": sys.argv[1]})
[(_, result, failure)] = executor.collect(60)
executor.close()
assert failure is None, failure
print(result["label"])
"""
STUDY_LIBRARIES = "import autocomp, datasets, huggingface_hub, onnx, optuna, plotly, transformers"
PROCESSES = {
    "the command": ["-m", "autocomp", "predict", "{model}", "a good film"],
    "benchmark, every runtime": [
        *["-m", "autocomp", "benchmark", "{model}", "--runtime", "all", "--tokens", "8", "--rounds", "2"]
    ],
    "Python": ["-c", "import autocomp; print(autocomp.load('{model}').predict('a good film')[0].label)"],
    "Python with no more than a file needs": [
        "-c",
        "import sys\nfor name in ('yaml', 'pydantic', 'torch', 'transformers'): sys.modules[name] = None\n"
        "import autocomp; print(autocomp.load('{model}').predict('a good film')[0].label)",
    ],
    "a spawned worker": ["{driver}", "{model}"],
    "the dashboard's server, trying a text": [
        "-c",
        "from pathlib import Path; from autocomp.serving import app, inference, server\n"
        "print(inference._open(Path('{model}')))",
    ],
    "a study's libraries": ["-c", f"{STUDY_LIBRARIES}; print(1)"],
    "a publisher": ["-m", "autocomp", "publish", "{run}", "--to", "mlflow"],
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home, and no switch set by this process; ONNX Runtime is silent by itself where it sees a CI service."""
    for name in [*SWITCHES, *CI_SERVICES, *(n for n in os.environ if n.startswith("XDG_"))]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("AUTOCOMP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def python(*words):
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def written(home):
    return sorted(str(file.relative_to(home)) for file in home.rglob("*") if file.is_file())


@pytest.mark.parametrize("process", PROCESSES)
def test_no_process_writes_into_the_home(home, tmp_path, process):
    write_artifact(random_student(tiny_shape(layers=1)), tmp_path / "model")
    (tmp_path / "predicting.py").write_text(WORK)
    (tmp_path / "driver.py").write_text(DRIVER)
    parts = {"model": tmp_path / "model", "driver": tmp_path / "driver.py", "run": tmp_path / "run"}
    if "{run}" in PROCESSES[process]:
        write_run(tmp_path / "run")
    assert python(*(word.format(**parts) for word in PROCESSES[process]))
    assert written(home) == []


def test_onnx_runtime_alone_would(home):
    """The tests above look where it writes."""
    python("-c", "import onnxruntime")
    assert any(file.endswith("deviceid") for file in written(home))


def test_every_library_takes_its_switch_for_off(home):
    code = (
        "import autocomp, huggingface_hub.constants as hub, datasets.config, transformers.utils.hub as transformers\n"
        "import mlflow.telemetry.utils, ray._common.usage.usage_lib as ray\n"
        "print(hub.HF_HUB_DISABLE_TELEMETRY, 'telemetry/off' in transformers.http_user_agent())\n"
        "print(mlflow.telemetry.utils.is_telemetry_disabled(), not datasets.config.HF_UPDATE_DOWNLOAD_COUNTS)\n"
        "print(not ray.usage_stats_enabled())"
    )
    assert python("-c", code).split() == ["True"] * 5


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_that_the_user_set_stays(home, monkeypatch, name):
    monkeypatch.setenv(name, "as I said")
    code = f"import autocomp, os; print(os.environ[{name!r}])"
    assert python("-c", code) == "as I said\n"


def imported(file):
    """Names of packages that a file imports at its top level, in order."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module).split(".")[0]


def test_no_script_imports_such_a_library_before_autocomp():
    scripts = sorted((ROOT / "benchmarks").glob("*.py"))
    early = {f.name: [n for n in imported(f) if n in (*TELLING, "autocomp")][:1] for f in scripts}
    assert len(scripts) > 10
    assert [name for name, first in early.items() if first and first != ["autocomp"]] == []
