"""MLflow in a process of its own: its first import sets up much that would stay for other tests."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autocomp.cli import main

ROOT = Path(__file__).parents[2]
READ = """
import json, sys
from mlflow import MlflowClient
client = MlflowClient(tracking_uri="sqlite:///" + sys.argv[1])
told = []
for run in client.search_runs([client.get_experiment_by_name(sys.argv[2]).experiment_id]):
    id = run.info.run_id
    files = [f.path for d in client.list_artifacts(id) for f in client.list_artifacts(id, d.path)]
    told.append({"tags": run.data.tags, "params": run.data.params, "metrics": run.data.metrics, "files": files,
                 "sizes": [m.value for m in client.get_metric_history(id, "bytes")], "status": run.info.status})
print(json.dumps(told))
"""


def python(*words):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run([sys.executable, *map(str, words)], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_run_a_member_and_one_for_the_study(grow, events):
    publish = ["-m", "autocomp", "publish", grow(len(events) // 2), "--to", "mlflow", "--json"]
    assert python(*publish)["total"] == 0
    run = grow(len(events))
    assert [python(*publish)["added"] for _ in range(2)] == [9, 0]
    told = python("-c", READ, run / "mlflow.db", "growing")
    study = next(r for r in told if "autocomp.records" in r["tags"])
    members = {r["tags"]["mlflow.runName"]: r for r in told if "autocomp.record" in r["tags"]}
    assert len(told) == 10 and len(members) == 9 and {r["status"] for r in told} == {"FINISHED"}
    assert len(study["sizes"]) == 39 and members["m01"]["metrics"]["bytes"] == 420_000
    assert sorted(members["m01"]["files"]) == ["m01/manifest.json", "m01/model.onnx", "m01/tokenizer.json"]
    linked = next((run / "mlflow_artifacts").rglob("m01/model.onnx"))
    assert linked.samefile(run / "front" / "m01" / "model.onnx")


def test_without_the_library(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert main(["publish", str(run), "--to", "mlflow"]) == 2
    assert "pip install 'autocomp[mlflow]'" in capsys.readouterr().err
