"""From what a person types to a task: names, then paths, then hub ids."""

import pytest

from autocomp import tasks as resolve_module
from autocomp.errors import DataError, UnknownName
from autocomp.tasks import Example, Task, TaskData, resolve_task, tasks


@pytest.fixture
def reviews(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\n" + "".join(f"row {i},{'ab'[i % 2]}\n" for i in range(40)))
    return path


@pytest.fixture
def named(monkeypatch):
    rows = tuple(Example(f"row {i}", None, i % 2) for i in range(3))
    data = TaskData("named", ("a", "b"), "accuracy", rows[:1], rows[1:2], rows[2:])
    monkeypatch.setattr(type(tasks), "_plugged_in", lambda self: {})
    monkeypatch.setattr(tasks, "_built_in", lambda: ["named"])
    monkeypatch.setitem(tasks._loaded, "named", Task("summary", lambda: data, "MIT", "here"))
    return data


def test_the_registered_names_are_the_tasks_and_nothing_else():
    assert tasks.names() == ["prompt_injection", "tweets"]


def test_a_path_is_read_with_its_options(reviews):
    task = resolve_task(str(reviews), metric="macro_f1", max_length=64, label_names=["b", "a"])
    assert (task.labels, task.metric, task.max_length) == (("b", "a"), "macro_f1", 64)


def test_a_folder_relative_to_here_is_read(reviews, monkeypatch):
    monkeypatch.chdir(reviews.parent)
    assert resolve_task("reviews.csv").fingerprint == resolve_task("./reviews.csv").fingerprint


def test_a_name_wins_over_a_folder_of_that_name(named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "named").mkdir()
    assert resolve_task("named") == named
    with pytest.raises(DataError, match="a folder needs a file called train"):
        resolve_task("./named")


def test_a_registered_task_takes_a_metric_but_no_columns(named):
    task = resolve_task("named", metric="f1", max_length=16)
    assert (task.metric, task.max_length, task.train) == ("f1", 16, named.train)
    with pytest.raises(DataError, match="task named has its own columns; leave out text, label"):
        resolve_task("named", text="a", label="b")
    with pytest.raises(UnknownName, match=r"no metric 'f2'; did you mean .*'f1'"):
        resolve_task("named", metric="f2")


def test_an_id_with_a_slash_goes_to_the_hub(monkeypatch):
    asked = []
    monkeypatch.setattr(resolve_module, "load_hub", lambda *values: asked.append(values))
    resolve_task("glue/sst2", metric="f1")
    assert asked == [("glue/sst2", None, None, None, "f1", None, None, None, None)]


@pytest.mark.parametrize(
    "name", ["./data/reviews", "../x", "/nowhere/x", "~/nowhere-x", "data/reviews.csv", "x.tsv.gz"]
)
def test_a_path_that_is_not_there_never_goes_to_the_hub(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        resolve_task(name)


def test_an_unknown_name_lists_near_ones():
    with pytest.raises(UnknownName, match="no task 'prompt_injections'; did you mean 'prompt_injection'"):
        resolve_task("prompt_injections")
