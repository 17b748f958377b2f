import pytest

from autocomp.errors import InputError, UnknownName
from autocomp.report.pick import export, pick
from autocomp.report.summary import summary
from autocomp.testing.runs import journal, write_run


@pytest.fixture
def found(tmp_path):
    return summary(write_run(tmp_path / "run"))


def test_corners(found):
    members = found["members"]
    assert pick(found, "fastest")["latency_ms"] == min(m["latency_ms"] for m in members)
    assert pick(found, "smallest")["bytes"] == min(m["bytes"] for m in members)
    assert pick(found, "best")["score"] == max(m["score"] for m in members)
    assert pick(found, "knee")["id"] not in {members[0]["id"], members[-1]["id"]}


@pytest.mark.parametrize("name", ["m03", "teacher", "plain_int8"])
def test_ids(found, name):
    assert pick(found, name)["id"] == name


@pytest.mark.parametrize(
    ("limits", "holds"),
    [
        ("accuracy>=0.97,latency_ms<=2", lambda m: m["score"] >= 0.97 and m["latency_ms"] <= 2),
        ("score > 0.95 , mb < 3", lambda m: m["score"] > 0.95 and m["bytes"] < 3e6),
        ("times_smaller>=50", lambda m: m["times_smaller"] >= 50),
        ("times_faster>=8,bytes<=2e6", lambda m: m["times_faster"] >= 8 and m["bytes"] <= 2e6),
        ("latency_p95_ms<=1.5", lambda m: m["latency_p95_ms"] <= 1.5),
    ],
)
def test_limits_give_the_best_score_within_them(found, limits, holds):
    fitting = [m for m in found["members"] if holds(m)]
    assert 0 < len(fitting) < len(found["members"])
    assert pick(found, limits)["id"] == max(fitting, key=lambda m: m["score"])["id"]


def test_equal_scores_are_decided_by_latency(found):
    for m in found["members"]:
        m["score"] = 0.97
    assert pick(found, "score>=0.9")["id"] == pick(found, "fastest")["id"]


def test_nothing_fits_names_the_nearest(found):
    with pytest.raises(
        InputError, match=r"none of 9 members meets accuracy>=0.9803, latency_ms<=3; the nearest is m0\d"
    ):
        pick(found, "accuracy>=0.9803,latency_ms<=3")


@pytest.mark.parametrize(
    ("expression", "error", "words"),
    [
        ("kne", UnknownName, "did you mean 'knee'"),
        ("accuracy>=95", InputError, "fractions from 0 to 1"),
        ("speed>=2", InputError, "latency_ms"),
        ("latency_ms<=fast", InputError, "a limit is like"),
        ("latency_ms<=1.2.3", InputError, "ends in a number"),
        ("f1>=0.9", InputError, "this run's score is accuracy"),
        ("", UnknownName, "no member ''"),
    ],
)
def test_wrong_expressions(found, expression, error, words):
    with pytest.raises(error, match=words):
        pick(found, expression)


def test_a_run_without_members(tmp_path):
    found = summary(write_run(tmp_path / "run", journal()[:2]))
    for expression in ("knee", "score>=0.5"):
        with pytest.raises(InputError, match="no members"):
            pick(found, expression)


def test_export_copies_the_files(found, tmp_path):
    out = export(pick(found, "m02"), tmp_path / "new" / "guard")
    assert {p.name: p.read_text() for p in out.iterdir()}["model.onnx"] == "front/m02/model.onnx"
    assert [p.name for p in out.parent.iterdir()] == ["guard"]


def test_export_overwrites_nothing(found, tmp_path):
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "mine").write_text("keep")
    with pytest.raises(InputError, match="not overwritten"):
        export(pick(found, "m02"), tmp_path / "guard")
    assert [p.name for p in (tmp_path / "guard").iterdir()] == ["mine"]


def test_a_candidate_has_no_files_to_export(tmp_path):
    found = summary(write_run(tmp_path / "run", journal(finished=False)))
    with pytest.raises(InputError, match="no files yet"):
        export(pick(found, "knee"), tmp_path / "guard")
