"""Cards of runs whose answers are several labels, numbers, or of a kind that is not installed; scores below 0."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from autocomp.cli._front import front_text
from autocomp.errors import InputError
from autocomp.heads import heads
from autocomp.report.cards import card, evidence_of, read_evidence
from autocomp.report.pick import pick
from autocomp.report.summary import read_state, summarise, summary
from autocomp.testing.kinds import LABELS, SCALE, journal_of
from autocomp.testing.kinds import evidence_of as made_up
from autocomp.testing.runs import put_evidence, write_run

LABEL_NAMES = list(LABELS["multi_label"])


def made(folder, kind, rows=200, /, **changes):
    """The card of m01 in a made-up run of that kind; `changes` are keys of its evidence."""
    run = write_run(folder, journal_of(kind))
    data = made_up(kind, ["m01"], rows) | changes
    put_evidence(run, data)
    state = read_state(run)
    found = evidence_of(run, state)
    return card(run, {**summarise(state, run)["members"][0], "path": None}, found), found, data


def test_several_labels_are_counted_as_one_counts_by_hand(tmp_path):
    data = made_up("multi_label", ["m01"], 4)
    data["models"]["m01"] |= {"answers": [[0], [0, 1], [], [4]], "confidence": [0.9, 0.6, 0.8, 0.7]}
    data["models"]["teacher"] |= {"answers": [[0], [0], [2, 3], [4]], "confidence": [0.9, 0.7, 0.5, 0.7]}
    shown, _, _ = made(tmp_path / "run", "multi_label", 4, **{**data, "truth": [[0], [1], [2], [4]]})
    answers = shown["answers"]
    joy, love = answers["classes"][:2]
    assert answers["answer"] == "labels" and (answers["n"], [c["n"] for c in answers["classes"]]) == (
        4,
        [1, 1, 1, 0, 1],
    )
    assert (joy["precision"], joy["recall"], joy["f1"]) == (0.5, 1.0, pytest.approx(2 / 3))
    assert (love["precision"], love["teacher_recall"], love["teacher_f1"]) == (1.0, 0.0, 0.0)
    assert joy["threshold"] == 0.5 and answers["classes"][4]["teacher_threshold"] == pytest.approx(0.3)
    assert answers["counts"] == {"truth": [0, 4, 0], "member": [1, 2, 1], "teacher": [0, 3, 1]}
    figures = {f["figure"]: (f["member"], f["teacher"]) for f in answers["figures"]}
    assert figures["micro f1"] == (pytest.approx(6 / 8), pytest.approx(6 / 9))
    assert figures["subset accuracy"] == (0.5, 0.5)
    first, second = shown["differences"]["shown"]
    assert (first["teacher"], first["member"], first["truth"]) == (LABEL_NAMES[2:4], [], ["anger & <b>rage</b>"])
    assert (second["teacher"], second["member"], second["member_confidence"]) == (["joy"], ["joy", "love"], 0.6)


def test_numbers_are_compared_as_one_does_by_hand(tmp_path):
    data = made_up("regression", ["m01"], 4)
    data["models"]["m01"]["answers"] = [1.0, 2.0, 5.0, 4.5]
    data["models"]["teacher"]["answers"] = [1.0, 2.1, 3.0, 4.0]
    shown, found, _ = made(tmp_path / "run", "regression", 4, **{**data, "truth": [1.0, 2.0, 3.0, 4.0]})
    answers = shown["answers"]
    figures = {f["figure"]: (f["member"], f["teacher"], f["better"]) for f in answers["figures"]}
    assert figures["mean absolute error"] == (pytest.approx(0.625), pytest.approx(0.025), "less")
    assert figures["root mean squared error"][0] == pytest.approx(np.sqrt(4.25 / 4))
    assert figures["Spearman correlation"][:2] == (pytest.approx(0.8), pytest.approx(1.0))
    assert answers["scale"] == (1.0, 4.0) and answers["points"][2] == (3.0, 5.0, 3.0)
    assert found.unit == SCALE and shown["differences"]["count"] == 2  # 0.1 is less than a quarter of the spread
    assert [(d["member"], d["teacher"], d["truth"]) for d in shown["differences"]["shown"]] == [(5, 3, 3), (4.5, 4, 4)]
    assert shown["differences"]["shown"][0]["member_confidence"] is None


@pytest.mark.parametrize("kind", LABELS)
def test_cards_are_json_and_points_are_at_most_four_hundred(tmp_path, kind):
    shown, found, _ = made(tmp_path / "run", kind, 1000)
    assert shown["notes"] == [] and found.rows == 1000
    json.dumps(shown, allow_nan=False)
    assert kind != "regression" or len(shown["answers"]["points"]) == 400


def damaged(kind):
    first = {"multi_label": {"a label beyond": [5], "a negative label": [-1], "no list": 1, "a truth": [True]},
             "regression": {"a word": "1.0", "a list": [1.0], "none": None, "too large": 1e31}}  # fmt: skip
    return first[kind]


@pytest.mark.parametrize(
    ("kind", "value"), [(kind, value) for kind in LABELS for value in damaged(kind).values()], ids=str
)
@pytest.mark.parametrize("place", ["truth", "answers"])
def test_damaged_answers_are_a_note(tmp_path, kind, value, place):
    data = made_up(kind, ["m01"], 6)
    (data if place == "truth" else data["models"]["m01"])[place][2] = value
    shown, found, _ = made(tmp_path / "run", kind, 6, **data)
    assert found.models == {} and "damaged" in found.notes[0] and shown["answers"] is None and shown["words"]


@pytest.mark.parametrize("changes", [{"unit": 0}, {"unit": -1}, {"unit": None}, {"unit": "1"}], ids=str)
def test_a_spread_that_is_none_is_damage(tmp_path, changes):
    assert "damaged" in made(tmp_path / "run", "regression", 6, **changes)[1].notes[0]


@pytest.mark.parametrize("key", ["thresholds", "confidence"])
def test_thresholds_and_confidence_are_as_many_as_they_should_be(tmp_path, key):
    data = made_up("multi_label", ["m01"], 6)
    data["models"]["m01"][key].append(0.5)
    assert "damaged" in made(tmp_path / "run", "multi_label", 6, **data)[1].notes[0]


def test_more_cells_than_anybody_has_are_not_made(tmp_path):
    labels = [str(i) for i in range(30_000)]
    data = {"labels": labels, "truth": [[]] * 1000, "models": {}}
    assert "damaged" in made(tmp_path / "run", "multi_label", 6, **data)[1].notes[0]


def test_a_kind_that_is_not_installed_leaves_the_other_parts(tmp_path):
    shown, found, data = made(tmp_path / "run", "regression", kind="chess_moves")
    assert shown["answers"] == {"answer": None, "kind": "chess_moves", "n": 200} and shown["differences"] is None
    assert shown["latency"]["ms"] == data["models"]["m01"]["latency"]["ms"] and shown["lineage"] and shown["words"]
    [note] = shown["notes"]
    assert "chess_moves" in note and found.truth is None


def test_answers_of_a_form_that_no_card_knows_are_no_error(tmp_path, monkeypatch):
    monkeypatch.setitem(heads._loaded, "of_a_plug_in", SimpleNamespace(answer_key="moves"))
    shown, _, _ = made(tmp_path / "run", "regression", kind="of_a_plug_in")
    assert shown["answers"]["answer"] is None and shown["differences"] is None and len(shown["notes"]) == 1


def test_a_kind_is_what_the_file_says_and_one_label_where_it_says_none(tmp_path):
    data = made_up("regression", ["m01"], 6)
    run = write_run(tmp_path / "run", journal_of("regression"))
    put_evidence(run, {key: value for key, value in data.items() if key != "kind"})
    assert "damaged" in read_evidence(run).notes[0]  # numbers are no indices of labels


@pytest.fixture
def negative(tmp_path):
    """A run whose scores go from -0.3 to 0.3; the teacher's is 0.1."""
    events = journal_of("regression")
    last = next(e for e in events if e["event"] == "front")
    for i, member in enumerate(last["members"]):
        member["score"] = round(-0.3 + 0.075 * i, 3)
    last["teacher"]["score"] = 0.1
    return write_run(tmp_path / "run", events)


def test_a_multiple_of_a_score_is_told_only_where_it_means_something(negative):
    found = summary(negative)
    ratios = {m["score"]: m["times_score"] for m in found["members"]}
    assert ratios[-0.3] is None and ratios[0.0] == 0.0 and ratios[0.3] == pytest.approx(3.0)
    line = next(line for line in front_text(found).splitlines() if line.lstrip().startswith("m01"))
    assert "-0.3000" in line and "×-" not in line


def test_a_teacher_of_no_or_negative_score_has_no_multiples(negative):
    for score in (0.0, -0.2):
        state = read_state(negative)
        state.teacher = {**state.teacher, "score": score}
        assert {m["times_score"] for m in summarise(state, negative)["members"]} == {None}


def test_limits_on_negative_scores_hold(negative):
    found = summary(negative)
    assert pick(found, "spearman>=-0.1,bytes<=3000000")["score"] == -0.0
    assert pick(found, "score<=-0.2")["score"] == -0.225 and pick(found, "best")["score"] == 0.3
    assert pick(found, "spearman>=-2")["score"] == 0.3
    with pytest.raises(InputError, match="at most 1"):
        pick(found, "spearman>=1.5")
    with pytest.raises(InputError, match="this run's score is spearman"):
        pick(found, "micro_f1>=0.5")
    with pytest.raises(InputError, match="the nearest is m04"):
        pick(found, "score>=0,bytes<=2000000")
