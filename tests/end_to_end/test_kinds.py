"""A tiny real study of each kind of answer but the usual one, through every verb and out again."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import transformers

import autocomp as autocomp_package
from autocomp.artifact.loader import load
from autocomp.journal import read_records
from autocomp.pipeline.checkpoint_export import student_of
from autocomp.study import workers
from autocomp.tasks import Example
from autocomp.testing.studies import FILLERS, write_bert, write_study
from autocomp.training.batches import encode
from autocomp.training.predictions import predict

SIZES = {"train": 240, "validation": 60, "test": 60}
WORDS = {"fear": "bad terrible".split(), "joy": "good great".split(), "love": "love like".split()}
MEAN = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
SPACES = {
    "multi_label": {
        "techniques": {"depth": {}, "linear_bits": {"bits": [4, 8]}, "exits": {"threshold": [0.9, 1.0]}},
        "start": [{"depth.layers": 2, "linear_bits.bits": 8}],
    },
    "regression": {
        "techniques": {
            "depth": {},
            "hidden_size": {},
            "low_rank": {},
            "token_elimination": {},
            "local_attention": {},
            "linear_bits": {"bits": [4, 8]},
        },
        "start": [
            {"low_rank.kept": 0.5, "token_elimination.kept": 0.5, "local_attention.layers": 1, "linear_bits.bits": 8},
        ],
    },
}


def emotions(rng, i):
    """Any of three emotions, each told by a word; none in every eighth text."""
    held = [name for bit, name in enumerate(WORDS) if i >> bit & 1]
    words = [*rng.choice(FILLERS, 5), *(rng.choice(WORDS[name]) for name in held)]
    return {"text": f"{' '.join(rng.permutation(words))} {i}", "labels": held}


def grades(rng, i):
    """A pair whose grade is the share of good words."""
    good = i % 5
    words = [*rng.choice(FILLERS, 4), *["good"] * good, *["bad"] * (4 - good)]
    score = round(1.25 * good + float(rng.normal()) * 0.1, 3)
    return {"text_a": f"{' '.join(rng.permutation(words))} {i}", "text_b": str(rng.choice(FILLERS)), "score": score}


ROWS = {"multi_label": emotions, "regression": grades}
PAIRED = {"multi_label": False, "regression": True}
METRICS = {"multi_label": "micro_f1", "regression": "spearman"}


def texts_of(kind, count=12):
    rows = [ROWS[kind](np.random.default_rng(7), i) for i in range(count)]
    return [(row["text_a"], row["text_b"]) if PAIRED[kind] else row["text"] for row in rows]


@pytest.fixture(scope="module", params=list(ROWS))
def study(request, tmp_path_factory, call):
    """A finished study of one trial: its kind, file, folder and summary. Numbers are read off all tokens' mean."""
    kind, rng = request.param, np.random.default_rng(0)
    folder = tmp_path_factory.mktemp(kind)
    (folder / "texts").mkdir()
    for split, size in SIZES.items():
        rows = (json.dumps(ROWS[kind](rng, i)) + "\n" for i in range(size))
        (folder / "texts" / f"{split}.jsonl").write_text("".join(rows))
    model = write_bert(folder / "bert")
    if kind == "regression":
        (model / "1_Pooling").mkdir()
        (model / "1_Pooling" / "config.json").write_text(json.dumps(MEAN))
    parts = {"model": str(model), "texts": str(folder / "texts"), "space": SPACES[kind], "recovery_steps": [20]}
    file = write_study(folder / "study", **parts, budget="1trials", teacher_epochs=8.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOCOMP_CACHE", str(folder / "cache"))
        patch.setattr(workers, "share_of_cores", lambda workers: (0, 1))
        said = call("search", file, "--out", folder / "run", "--quiet", "--json")
    assert said.status == 0, said.err
    return SimpleNamespace(kind=kind, file=file, run=folder / "run", summary=json.loads(said.out))


def test_validate_says_what_is_learnt(study, autocomp):
    said = json.loads(autocomp("validate", study.file, "--json").out)
    assert (said["kind"], said["metric"], said["positive"]) == (study.kind, METRICS[study.kind], None)
    assert f"kind {study.kind}" in " ".join(said["notes"])
    assert said["labels"] == (["score"] if study.kind == "regression" else list(WORDS))
    refused = autocomp("validate", study.file, "--metric", "accuracy")
    assert refused.status == 2 and f"metric 'accuracy' cannot score {study.kind}" in refused.err


def test_a_search_leaves_a_front_that_learnt_it(study):
    summary = study.summary
    assert (summary["status"], summary["reason"]) == ("finished", "all trials done")
    assert summary["kind"] == study.kind
    assert {r.status for r in read_records(study.run / "journal.jsonl")} == {"complete"}
    assert summary["teacher"]["score"] > 0.7
    assert max(member["score"] for member in summary["members"]) > 0.5
    assert all(0 <= member["agreement"] <= 1 for member in summary["members"])
    assert (study.run / "report.html").stat().st_size > 1000


def test_a_kind_without_a_rule_never_leaves_early(study):
    for record in read_records(study.run / "journal.jsonl"):
        assert (record.plan.options("exits") or {"threshold": 1.0})["threshold"] == 1.0
    for member in study.summary["members"]:
        assert json.loads((Path(member["path"]) / "manifest.json").read_text())["exits"] is None


def test_files_answer_in_stock_onnx_runtime_as_pytorch_does(study):
    texts = texts_of(study.kind)
    for member in (study.summary["teacher"], *study.summary["members"]):
        student, predictor = student_of(member), load(member["path"])
        head = student.encoder.shape.head
        examples = [Example(*(t if PAIRED[study.kind] else (t, None)), ()) for t in texts]
        if study.kind == "regression":
            examples = [example._replace(target=0.0) for example in examples]
            assert (head.pooling, head.size, student.labels) == ("mean", None, ("score",))
            assert 1.5 < head.scale < 2.2 and 2.0 < head.offset < 3.0
        expected = predict(student, encode(student, examples)).logits
        session = onnxruntime.InferenceSession(Path(member["path"]) / "model.onnx")
        found = np.concatenate([session.run(["logits"], inputs)[0] for inputs in predictor.batches(texts)])
        assert np.abs(found - expected).max() < 0.15 * expected.std(), member["describe"]


def test_predict_answers_in_the_words_of_its_kind(study, autocomp):
    best = max(study.summary["members"], key=lambda member: member["score"])["path"]
    words = [f"{t[0]}\t{t[1]}" for t in texts_of(study.kind)] if PAIRED[study.kind] else texts_of(study.kind)
    flags = ["--pairs"] * PAIRED[study.kind]
    lines = [json.loads(line) for line in autocomp("predict", best, *flags, "--json", *words).out.splitlines()]
    plain = autocomp("predict", best, *flags, *words).out.splitlines()
    assert len(lines) == len(plain) == len(words)
    if study.kind == "regression":
        assert {key for line in lines for key in line} == {"text", "pair", "value", "exit_depth"}
        assert lines[4]["value"] > lines[0]["value"] + 1
        assert [float(line.split("\t")[0]) for line in plain] == pytest.approx([x["value"] for x in lines], abs=1e-4)
    else:
        least = dict(zip(WORDS, json.loads((Path(best) / "manifest.json").read_text())["thresholds"], strict=True))
        for line, shown in zip(lines, plain, strict=True):
            held = [label for label, score in line["scores"].items() if score >= least[label]]
            assert set(line["labels"]) == set(held)
            assert shown.split("\t")[0] == (", ".join(line["labels"]) or "-")
        assert len({tuple(line["labels"]) for line in lines}) > 1


def test_a_checkpoint_gives_the_same_answers(study, autocomp, tmp_path):
    texts = texts_of(study.kind)
    member = next(m for m in study.summary["members"] if m["student"])
    out = tmp_path / "checkpoint"
    said = autocomp("export", study.run, "--pick", member["id"], "--as", "checkpoint", "--out", out, "--json")
    assert said.status == 0, said.err
    predictor = load(member["path"])
    expected = np.concatenate([predictor.run(inputs)[0] for inputs in predictor.batches(texts)])
    readme = (out / "README.md").read_text(encoding="utf-8")
    if study.kind == "regression":
        assert "It is no Hugging Face model: the head reads the mean of all tokens" in readme
        assert "gives each text one number: score." in readme
        student = autocomp_package.load(out)
        found = predict(student, encode(student, [Example(*text, 0.0) for text in texts])).logits
    else:
        assert "A multi-label text classifier" in readme and "its threshold in the ONNX file: fear 0." in readme
        model = transformers.AutoModelForSequenceClassification.from_pretrained(out)
        tokenizer = transformers.AutoTokenizer.from_pretrained(out)
        assert model.config.problem_type == "multi_label_classification"
        found = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.detach().numpy()
    assert np.abs(found - expected).max() < 0.15 * expected.std()


def test_what_a_study_leaves_begins_another_of_its_kind_only(study, autocomp, tmp_path):
    out = tmp_path / "checkpoint"
    autocomp("export", study.run, "--pick", "teacher", "--as", "checkpoint", "--out", out)
    said = autocomp("validate", study.file, "--model", out, "--json")
    if study.kind == "regression":  # no Hugging Face class has its head
        assert said.status == 2 and "no readable config.json" in said.err
        return
    found = json.loads(said.out)
    assert found["fine_tuned"] is True and found["kind"] == study.kind
    texts = Path(json.loads((study.run / "study.json").read_text())["task"]["source"])
    (tmp_path / "single").mkdir()
    for file in texts.iterdir():
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        one = [{"text": row["text"], "label": row["labels"][0]} for row in rows if row["labels"]]
        (tmp_path / "single" / file.name).write_text("".join(json.dumps(row) + "\n" for row in one))
    refused = autocomp("validate", "--model", out, "--task", tmp_path / "single")
    assert refused.status == 2 and "answers in the kind multi_label" in refused.err
