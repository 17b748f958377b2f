"""Checking a study before it starts."""

from autocomp.spec import StudySpec
from autocomp.study.validate import with_absolute_paths


def test_paths_become_absolute_and_names_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("model", "data", "demo", "mine"):
        (tmp_path / name).mkdir()
    (tmp_path / "space.yaml").write_text("techniques: {depth: {}}")
    spec = StudySpec(model="model", task={"source": "data"}, space="space.yaml", include=("mine",))
    found = with_absolute_paths(spec)
    assert (found.model, found.task.source) == (str(tmp_path / "model"), str(tmp_path / "data"))
    assert (found.space, found.include) == (str(tmp_path / "space.yaml"), (str(tmp_path / "mine"),))
    assert (found.device, found.objectives) == (spec.device, spec.objectives)


def test_a_registered_task_wins_over_a_folder_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tweets").mkdir()
    spec = StudySpec(model="a/b", task={"source": "tweets"})
    assert with_absolute_paths(spec).task.source == "tweets"
    assert with_absolute_paths(spec).model == "a/b"
