"""What a study was made of, and what a resume says of it that changed."""

import copy
from dataclasses import replace

import pytest

from autocomp.errors import ChangedStudy
from autocomp.journal import Journal
from autocomp.journal.events import StudyBegun, event_of
from autocomp.study import pins as pins_module
from autocomp.study.pins import changes, check_unchanged, data_pins, next_run, pinned, pins


@pytest.fixture(scope="module")
def then(prepared):
    return pins(prepared.checked)


def said(then, change):
    now = copy.deepcopy(then)
    change(now)
    return list(changes(then, now))


def test_a_study_that_is_as_it_was_has_not_changed(prepared, then):
    assert list(changes(then, pins(prepared.checked))) == []
    assert list(changes({}, then)) == [] == list(changes(then, {}))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("model", "weights"), "f" * 64, "the model: another weights"),
        (("model", "tokenizer"), "f" * 64, "the model: another tokenizer"),
        (("model", "shape", "activation"), "relu", "the model: another shape (activation)"),
        (("model", "dropout"), 0.5, "the model: dropout 0.1 then, 0.5 now"),
        (("model", "truncation_side"), "left", 'the model: truncation_side "right" then, "left" now'),
        (("settings", "seed"), 8, "the study: seed 0 then, 8 now"),
        (("space", "knobs"), {"depth.layers": [1]}, "the search space: another knobs"),
        (("objectives",), [], "the objectives: other values in the YAML file"),
        (("device", "threads"), 7, "the device profile: other values in the YAML file"),
        (("machine", "cpu"), "a 486", "a 486"),
        (("machine", "cores"), 1000, None),
        (("machine", "system"), "CP/M", None),
        (("versions", "torch"), "0.1", "torch: "),
        (("versions", "onnxruntime"), "0.1", "onnxruntime: "),
        (("versions", "optuna"), "0.1", None),
        (("versions", "python"), "2.7", None),
        (("code", "student"), "0", "the code of autocomp, a plug-in or a library, which makes each student"),
        (("data", "metric"), "f1", "f1"),
        (("data", "max_length"), 9, "9 now"),
        (("data", "labels"), ["a", "b"], "the data: labels"),
    ],
)
def test_what_changed_is_named(then, path, value, words):
    def change(now):
        *parents, last = path
        for key in parents:
            now = now[key]
        assert now[last] != value
        now[last] = value

    found = said(then, change)
    assert (words is None and not found) or (len(found) == 1 and words in found[0]), found


def test_a_build_for_gpus_is_the_same_version(then):
    plain = {"versions": {"torch": "2.13.0+cpu"}}
    assert list(changes(plain, {"versions": {"torch": "2.13.0+cu130"}})) == []


def test_rows_that_changed_are_counted_by_split(prepared):
    data = prepared.checked.data
    row = data.train[0]
    more, other = replace(data, train=(*data.train, row)), (row._replace(target=1 - row.target), *data.train[1:])
    rows = len(data.train)
    for changed, words in (
        (more, [f"the data: train has {rows + 1} rows, it had {rows}"]),
        (replace(data, train=other), [f"the data: train has {rows} rows as before, but other texts or labels"]),
        (replace(data, name="moved", notes=("elsewhere",)), []),
        (replace(data, held_out=data.held_out[1:]), [f"the data: held_out has {len(data.held_out) - 1} rows, it had"]),
    ):
        found = list(changes({"data": data_pins(data)}, {"data": data_pins(changed)}))
        assert len(found) == len(words) and all(f.startswith(w) for f, w in zip(found, words, strict=True)), found


@pytest.fixture
def old(prepared):
    """The `study` event of a journal that does not know of pins."""
    checked = prepared.checked
    data = {"fingerprint": checked.data.fingerprint, "labels": list(checked.data.labels), "metric": "accuracy"}
    counts = {split: len(getattr(checked.data, split)) for split in pins_module.SPLITS}
    return {
        "event": "study",
        "data": {**data, **counts, "name": "x", "notes": []},
        "spec": checked.spec.model_dump(mode="json"),
    }


def test_of_an_old_journal_is_compared_what_it_says(prepared, then, old):
    assert list(changes(pinned(event_of(old)), then)) == []
    edited = {**old, "data": {**old["data"], "fingerprint": "0" * 64}}
    assert list(changes(pinned(event_of(edited)), then)) == ["the data: as many rows, but other texts or labels"]
    fewer = {**edited, "data": {**edited["data"], "train": 3}}
    assert [words.partition(",")[0] for words in changes(pinned(event_of(fewer)), then)] == [
        f"the data: train has {len(prepared.checked.data.train)} rows"
    ]
    other = {**old, "spec": {**old["spec"], "seed": 5}, "versions": {**then["versions"], "onnx": "1.0"}}
    assert [words.partition(":")[0] for words in changes(pinned(event_of(other)), then)] == ["the study", "onnx"]


@pytest.fixture
def began(prepared, then, tmp_path):
    """`began(machine=…, kind=…)`: a run that began so."""

    def make(kind="local", **changed):
        run = tmp_path / "run"
        journal = Journal(run / "journal.jsonl")
        journal.append(StudyBegun(made_of={**then, **changed}, crew={"kind": kind}))
        return run

    return make


def test_a_changed_study_is_refused_with_both_ways_out(prepared, began, tmp_path):
    run = began(settings={"seed": 9})
    with pytest.raises(ChangedStudy, match="--accept-changes") as raised:
        check_unchanged(run, prepared.checked, is_local=True)
    assert raised.value.changes == ("the study: seed 9 then, 0 now",) and raised.value.new == tmp_path / "run-2"
    for part in (str(run), "seed 9 then, 0 now", "put back", str(tmp_path / "run-2")):
        assert part in str(raised.value)


def test_times_of_two_machines_are_not_mixed_where_this_one_is_timed(prepared, began, then, tmp_path):
    other = {"machine": {**then["machine"], "cpu": "a 486"}}
    with pytest.raises(ChangedStudy, match="a 486"):
        check_unchanged(began(**other), prepared.checked, is_local=True)
    check_unchanged(tmp_path / "run", prepared.checked, is_local=False)


def test_a_run_that_was_cut_off_before_its_first_event_has_nothing_to_compare(prepared, tmp_path):
    (tmp_path / "journal.jsonl").write_text("")
    check_unchanged(tmp_path, prepared.checked, is_local=True)


def test_a_new_run_takes_the_next_free_number(tmp_path):
    assert next_run(tmp_path / "run") == tmp_path / "run-2"
    (tmp_path / "run-2").mkdir()
    assert next_run(tmp_path / "run") == tmp_path / "run-3"
