"""The verbs that run an exported model: predict, benchmark; and profile."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest

import autocomp as package
from autocomp.architectures._encoder import Encoder
from autocomp.artifact.files import save_artifact
from autocomp.artifact.writer import write_model
from autocomp.formats import WeightFormat
from autocomp.models.profile import analytic
from autocomp.pipeline.export import write_artifact
from autocomp.testing.models import random_student, tiny_shape

LABELS = ["no", "yes"]


def export(folder, pairs=False, bits=32, labels=LABELS):
    student = random_student(pairs=pairs, labels=labels)
    weights = {name: tensor.detach().numpy() for name, tensor in student.encoder.state_dict().items()}
    formats = (
        {n: WeightFormat(bits) for n in weights if n.startswith("blocks.") and weights[n].ndim == 2}
        if bits < 32
        else {}
    )
    model = write_model(student.encoder.shape, weights, formats, pairs=pairs)
    save_artifact(folder, model, student.tokenizer.to_str(), {"labels": labels, "max_length": 24, "pairs": pairs})
    return folder


@pytest.fixture
def guard(tmp_path):
    return export(tmp_path / "guard")


def test_predict_arguments(autocomp, guard):
    status, out, err = autocomp("predict", guard, "one text", "another, with\ttab")
    assert (status, err) == (0, "")
    label, score, text = out.splitlines()[1].split("\t", 2)
    assert label in LABELS and 0.5 <= float(score) <= 1 and text == "another, with\\ttab"


def test_predict_json_agrees_with_python(autocomp, guard):
    found = json.loads(autocomp("predict", guard, "one text", "--json")[1])
    expected = package.load(guard).predict("one text")[0]
    assert set(found) == {"text", "label", "scores", "exit_depth"}
    assert (found["text"], found["label"], found["exit_depth"]) == ("one text", expected.label, expected.exit_depth)
    assert found["scores"] == pytest.approx(expected.scores, abs=1e-5)


def test_predict_gives_a_line_for_every_line(autocomp, guard, tmp_path, monkeypatch):
    (tmp_path / "texts").write_text("a\n\nc ä\n", encoding="utf-8")
    out = autocomp("predict", guard, "--file", tmp_path / "texts", "--json")[1]
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["a", "", "c ä"]
    monkeypatch.setattr("sys.stdin", io.StringIO("x\ny"))
    assert autocomp("predict", guard, "--json")[1].count("\n") == 2


def test_predict_reads_texts_in_every_encoding(autocomp, guard, tmp_path, monkeypatch):
    for codec in ("utf-8-sig", "utf-16", "cp1252"):
        (tmp_path / "texts").write_bytes("café “a”\nb\n".encode(codec))
        status, out, err = autocomp("predict", guard, "--file", tmp_path / "texts", "--json")
        assert status == 0 and [json.loads(line)["text"] for line in out.splitlines()] == ["café “a”", "b"]
        assert ("read as" in err) == (codec != "utf-8-sig")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\ufeffä\n".encode())))
    assert json.loads(autocomp("predict", guard, "--json")[1])["text"] == "ä"


def test_no_letter_of_a_text_or_label_breaks_a_line(autocomp, tmp_path):
    odd = "a\tb\rc\x00d\x85e\u2028f\u2029g\x0ch"
    folder = export(tmp_path / "odd", labels=["n\to", "y\u2028s\n"])
    (tmp_path / "texts").write_text(f"{odd}\nplain\n", newline="")
    status, out, _ = autocomp("predict", folder, "--file", tmp_path / "texts")
    assert status == 0 and len(out.splitlines()) == 2 == out.count("\n")
    assert all(line.split("\t")[0] in ("n\\to", "y\\u2028s\\n") for line in out.splitlines())
    assert out.splitlines()[0].split("\t")[2] == r"a\tb\rc\u0000d\u0085e\u2028f\u2029g\u000ch"
    out = autocomp("predict", folder, "--file", tmp_path / "texts", "--json")[1]
    assert [json.loads(line)["text"] for line in out.splitlines()] == [odd, "plain"]


def test_predict_pairs(autocomp, tmp_path):
    folder = export(tmp_path / "matcher", pairs=True)
    found = json.loads(autocomp("predict", folder, "--pairs", "a\tb", "--json")[1])
    assert (found["text"], found["pair"]) == ("a", "b")
    status, _, err = autocomp("predict", folder, "--pairs", "a b")
    assert status == 2 and "line 1 has 0 tabs" in err
    status, _, err = autocomp("predict", folder, "a b")
    assert status == 2 and "pairs of texts" in err


def test_predict_wrong_input(autocomp, guard, tmp_path):
    (tmp_path / "latin").write_bytes(b"caf\xe9\n")
    (tmp_path / "russian").write_bytes("Этот фильм мне очень понравился".encode("cp1251"))
    for words, said in [
        ([guard, "--file", tmp_path / "none"], "cannot be read"),
        ([guard, "x", "--file", tmp_path / "latin"], "not both"),
        ([guard, "--file", tmp_path / "russian"], "russian: line 1 is not UTF-8, and too many"),
        ([guard, "caf\udce9"], "an argument must be UTF-8 text, got 'caf\\udce9'"),
        ([tmp_path / "none", "x"], "none"),
    ]:
        status, out, err = autocomp("predict", *words)
        assert (status, out) == (2, "") and said in err


def test_benchmark(autocomp, guard, tmp_path):
    small = export(tmp_path / "small", bits=4)
    status, out, err = autocomp("benchmark", guard, small, "--tokens", "8", "--rounds", "3", "--json")
    first, second = json.loads(out)
    assert (status, err) == (0, "")
    assert first["times_smaller"] == first["times_faster"] == 1.0
    assert second["times_smaller"] == first["bytes"] / second["bytes"] > 1
    assert all(result[key] > 0 for result in (first, second) for key in ("latency_ms", "latency_p95_ms", "load_ms"))
    out = autocomp("benchmark", guard, "--rounds", "2", "--tokens", "24")[1]
    assert "one input of 24 tokens" in out and "×1.00" in out


@pytest.mark.parametrize(("disturbed", "marked", "attempts"), [(0, False, 1), (1, False, 2), (9, True, 3)])
def test_a_disturbed_benchmark_is_repeated_and_then_marked(autocomp, guard, monkeypatch, disturbed, marked, attempts):
    from autocomp.measures import latency

    taken = []

    def timed(subjects, rounds, warmup, inputs):
        taken.append(rounds)
        jumps = 1 + np.arange(rounds) % 3 if len(taken) <= disturbed else np.ones(rounds)
        return {name: np.outer(jumps, np.ones(inputs)) for name in subjects}

    monkeypatch.setattr(latency, "time_interleaved", timed)
    [found] = json.loads(autocomp("benchmark", guard, "--tokens", "8", "--json")[1])
    assert found["latency_disturbed"] is marked and len(taken) == attempts
    taken.clear()
    assert ("2.00 ms ! disturbed" in autocomp("benchmark", guard, "--tokens", "8")[1]) is (disturbed == 9)


def test_benchmark_of_real_texts(autocomp, guard, tmp_path):
    (tmp_path / "texts").write_text("a\nb c\n")
    assert "2 texts of" in autocomp("benchmark", guard, "--texts", tmp_path / "texts", "--rounds", "2")[1]


def test_benchmark_wrong_input(autocomp, guard, tmp_path):
    (tmp_path / "empty").write_text("")
    for words, said in [
        (["--tokens", "25"], "must be at most"),
        (["--tokens", "0"], "at least 1"),
        ([guard], "named twice"),
        (["--texts", tmp_path / "empty"], "no lines"),
    ]:
        status, out, err = autocomp("benchmark", guard, *words)
        assert (status, out) == (2, "") and said in err


def test_profile_prints_the_exact_table(autocomp):
    status, out, _ = autocomp("profile", "minilm-l6", "--tokens", "128", "--counts-only")
    assert status == 0
    rows = {line[:24].strip(): line[24:].split() for line in out.splitlines()[2:]}
    assert int(rows["embedding"][0].replace(",", "")) == (30522 + 512 + 2 + 2) * 384
    assert rows["attention"][-4:-2] == ["75.5", "151.0"]
    found = json.loads(autocomp("profile", "minilm-l6", "--tokens", "128", "--counts-only", "--json")[1])
    attention = next(c for c in found["components"] if c["component"] == "attention")
    assert attention["macs"] == 6 * 2 * 128 * 128 * 384 and attention["parameters"] == 0
    assert found["total"]["macs"] == sum(c["macs"] for c in found["components"])


def test_profile_times_components(autocomp, monkeypatch):
    student = random_student()
    monkeypatch.setattr("autocomp.cli.profile._encoder", lambda model: (student.encoder, ""))
    out = autocomp("profile", "tiny", "--tokens", "8", "--repeats", "2")[1]
    assert out.splitlines()[-1].startswith("total") and "peak MB" in out
    found = json.loads(autocomp("profile", "tiny", "--tokens", "8", "--repeats", "2", "--json")[1])
    assert found["total"]["ms"] > 0 and found["total"]["parameters"] == sum(
        c.parameters for c in analytic(student.encoder.shape, 8)
    )
    assert isinstance(student.encoder, Encoder)


def test_profile_wrong_input(autocomp, tmp_path):
    assert autocomp("profile", "minilm-l6", "--tokens", "600")[0] == 2
    assert autocomp("profile", "minilm-l6", "--repeats", "0")[0] == 2
    assert autocomp("profile", tmp_path / "none")[0] == 2


@pytest.fixture
def leaving(tmp_path):
    student = random_student(tiny_shape(exits=(1, 2)), labels=LABELS)
    write_artifact(replace(student, exit_threshold=0.8), tmp_path / "leaving")
    return tmp_path / "leaving"


def test_predict_takes_an_exit_threshold(autocomp, guard, leaving):
    def depth(*more):
        return json.loads(autocomp("predict", leaving, "one text", "--json", *more)[1])["exit_depth"]

    assert depth("--exit-threshold", "0.01") == 1
    assert depth("--exit-threshold", "never") == 3
    for folder, threshold, said in [(leaving, "95", "'never'"), (guard, "0.9", "no exits")]:
        status, out, err = autocomp("predict", folder, "x", "--exit-threshold", threshold)
        assert (status, out) == (2, "") and said in err


def test_benchmark_says_where_texts_left(autocomp, guard, leaving, tmp_path):
    texts = ["a great film", "good", "water", "they made it", "boring " * 9, "x"]
    (tmp_path / "texts").write_text("\n".join(texts))
    words = ["benchmark", guard, leaving, "--texts", tmp_path / "texts", "--rounds", "2"]
    plain, exits = json.loads(autocomp(*words, "--json")[1])
    depths = [p.exit_depth for p in package.load(leaving).predict(texts)]
    assert exits["exit_depths"] == {str(d): depths.count(d) / len(texts) for d in sorted(set(depths))}
    assert len(set(depths)) > 1 and exits["layers"] == pytest.approx(sum(depths) / len(texts))
    assert (plain["exit_rule"], plain["layers"], exits["exit_rule"]) == (None, 3, "probability")
    out = autocomp(*words, "--exit-threshold", "never")[1]
    assert "3.00 layers a text (probability): 100% after 3" in out
    status, _, err = autocomp("benchmark", guard, "--tokens", "8", "--exit-threshold", "0.9")
    assert status == 2 and "none of the folders has exits" in err
