"""Students without layers: what they start from, how they read, and a study of them beside Transformers."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession

import autocomp
from autocomp.architectures.static._module import pairs_of
from autocomp.artifact.loader import load
from autocomp.artifact.writer import write_model
from autocomp.journal import read_records
from autocomp.report.cards import card, evidence_of
from autocomp.report.page import page_data
from autocomp.report.summary import read_state
from autocomp.tasks import Example
from autocomp.techniques import Context, techniques
from autocomp.techniques.vocabulary import shrink_vocabulary
from autocomp.testing.models import random_student, scattered_encoder
from autocomp.testing.studies import write_study
from autocomp.training.batches import encode
from autocomp.training.predictions import predict

SPACE = {
    "techniques": {
        "architecture": {"dimensions": 32, "pairs": [0, 8192]},
        "depth": {"placement": "even"},
        "distillation": {"relations": 0.0, "learning_rate": 4e-4},
        "linear_bits": {"bits": [4, 8]},
        "embedding_bits": {"bits": [4, 8]},
        "exits": {"threshold": [0.9, 1.0]},
    },
    "start": [
        {"architecture.kind": "static", "architecture.pairs": 0, "linear_bits.bits": 4, "embedding_bits.bits": 4},
        {"depth.layers": 1, "linear_bits.bits": 4, "embedding_bits.bits": 4},
    ],
}


def static(teacher=None, context=None, **sizes):
    technique, teacher = techniques["architecture"], teacher or random_student()
    options = technique.parse({"kind": "static", **sizes})
    return technique.prepare(teacher, options, context or Context())


def test_words_start_from_the_teachers_and_keep_their_distances():
    teacher = random_student()
    words = static(teacher, pairs=0).encoder.get_parameter("embeddings.word.weight").detach()
    given = teacher.encoder.get_parameter("embeddings.word.weight").detach()
    ratio = torch.pdist(words) / torch.pdist(given)
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), rtol=1e-3, atol=0)


def test_frequent_words_weigh_little_and_special_ones_no_more():
    tokenizer = random_student().tokenizer
    context = Context(pieces={"the": 900, "film": 99, "good": 1})
    emphasis = static(context=context).encoder.get_parameter("embeddings.emphasis.weight").detach()
    the, film, good, start, never = (
        float(emphasis[tokenizer.token_to_id(piece)]) for piece in ("the", "film", "good", "[CLS]", "bad")
    )
    assert start == the < film < good < never == 0.0


def test_pairs_are_rows_of_neighbours_whatever_the_padding():
    ids = torch.tensor([[2, 40000, 7, 3, 0, 0]])
    rows = pairs_of(ids, 8192)[0].tolist()
    assert rows[:4] == [2, (2 * 1_000_003 + 40000) % 8192, (40000 * 1_000_003 + 7) % 8192, (7 * 1_000_003 + 3) % 8192]
    assert pairs_of(ids[:, :4], 8192)[0].tolist() == rows[:4]


def test_word_order_counts_with_pairs_only():
    ids, swapped = torch.tensor([[5, 6, 7, 8]]), torch.tensor([[5, 7, 6, 8]])
    for pairs, differs in ((0, False), (8192, True)):
        student = static(pairs=pairs)
        encoder = scattered_encoder(student.encoder.shape, torch.Generator().manual_seed(0))
        one, other = (encoder(x, torch.ones_like(x)).logits for x in (ids, swapped))
        assert differs != bool(torch.allclose(one, other, atol=1e-6))


@pytest.mark.parametrize("pairs", [0, 8192])
def test_its_file_answers_as_the_module_does(pairs):
    student, rng = static(pairs=pairs), torch.Generator().manual_seed(0)
    encoder = scattered_encoder(student.encoder.shape, rng).eval()
    weights = {name: tensor.detach().numpy() for name, tensor in encoder.state_dict().items()}
    session = InferenceSession(write_model(encoder.shape, weights, {}, pairs=False).SerializeToString())
    texts = torch.randint(5, encoder.shape.vocabulary, (1, 9), generator=rng)
    for ids in (texts, texts[:, :2]):
        found = session.run(["logits"], {"input_ids": ids.numpy(), "attention_mask": np.ones_like(ids)})[0]
        torch.testing.assert_close(
            torch.from_numpy(found), encoder(ids, torch.ones_like(ids)).logits, rtol=1e-4, atol=1e-5
        )


def test_a_smaller_vocabulary_keeps_words_and_their_weights():
    student = static(context=Context(pieces={"the": 9, "film": 3}))
    smaller = shrink_vocabulary(student, 200, {"film": 5, "the": 9})
    for name in ("embeddings.word.weight", "embeddings.emphasis.weight"):
        before, after = (s.encoder.get_parameter(name) for s in (student, smaller))
        old, new = (s.tokenizer.token_to_id("film") for s in (student, smaller))
        assert old != new and torch.equal(before[old], after[new])


def test_distillation_leaves_out_what_the_student_does_not_have():
    technique = techniques["distillation"]
    settled = technique.settle(static(), technique.parse({}), Context())
    assert (settled.hidden, settled.relations, settled.logits) == (0.0, 0.0, 1.0)
    assert technique.settle(random_student(), technique.parse({}), Context()).hidden == 1.0


def test_the_teachers_architecture_changes_nothing():
    technique, teacher = techniques["architecture"], random_student()
    assert technique.prepare(teacher, technique.parse({"kind": "transformer"}), Context()) is teacher


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny_parts, tiny_cache, call):
    folder = tmp_path_factory.mktemp("static")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOCOMP_CACHE", str(tiny_cache))
        patch.setenv("OMP_NUM_THREADS", "1")
        # By bytes and score alone: the static file is the smallest, so it is on the front whatever the machine does.
        parts = {"space": SPACE, "objectives": ["artifact_size", "task_score"], **tiny_parts}
        file = write_study(folder / "study", **parts)
        said = call("search", file, "--out", folder / "run", "--quiet", "--json")
    assert said.status == 0, said.err
    return SimpleNamespace(run=folder / "run", summary=json.loads(said.out))


def test_a_search_finds_students_of_both_kinds(study):
    records = read_records(study.run / "journal.jsonl")
    assert {r.status for r in records} == {"complete"}, [r.error for r in records]
    kinds = {r.plan.options("architecture")["kind"] for r in records}
    assert kinds == {"static", "transformer"}
    for record in records:
        names = {step.technique for step in record.plan.steps}
        is_static = record.plan.options("architecture")["kind"] == "static"
        assert is_static == ("depth" not in names) == ("exits" not in names)


def member(study):
    """A static member of the front."""
    return next(m for m in study.summary["members"] if m["plan"]["steps"][0]["options"]["kind"] == "static")


def test_a_static_member_has_a_file_that_answers_and_is_shown(study, call):
    one = member(study)
    assert "no layers, 32 dimensions" in one["describe"]
    said = call("predict", one["path"], "the film was great with his", "--json")
    assert said.status == 0 and '"positive"' in said.out, said
    assert one["score"] > 0.9 and one["bytes"] < study.summary["teacher"]["bytes"]
    assert call("show", study.run, "--json").status == 0
    said = call("inspect", one["path"], "--tokens", "16", "--json")
    assert said.status == 0, said.err


def test_a_static_member_has_a_card_and_stands_on_the_page(study):
    one = member(study)
    shown = card(study.run, one, evidence_of(study.run, read_state(study.run)))
    assert shown["notes"] == [] and shown["layers"]["rows"] == [] and shown["layers"]["embeddings"]["bytes"] > 0
    assert sum(part["bytes"] for part in shown["sizes"]["parts"]) == one["bytes"]
    page_data([study.run])


def test_a_static_member_is_exported_to_train_it_further(study, call, tmp_path):
    one = member(study)
    said = call("export", study.run, "--pick", one["id"], "--as", "checkpoint", "--out", tmp_path / "out", "--json")
    assert said.status == 0 and "architecture is static" in (tmp_path / "out" / "README.md").read_text()
    loaded = autocomp.load(tmp_path / "out")
    assert loaded.encoder.shape.architecture == "static"
    texts = [Example(text, None, 0) for text in ("the film was great", "with his this boring bad")]
    predictor = load(one["path"])
    expected = np.concatenate([predictor.run(i)[0] for i in predictor.batches([text.text for text in texts])])
    assert np.abs(predict(loaded, encode(loaded, texts)).logits - expected).max() < 0.1 * expected.std()
