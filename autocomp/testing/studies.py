"""A whole study that runs in seconds: a tiny BERT that is not fine-tuned yet, separable texts, a small space."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from autocomp.strict_json import Json

WORDS = {
    "negative": "bad terrible boring hate ignore".split(),
    "positive": "good great love like people".split(),
}
FILLERS = "the film was with his this from had by one but what all were when we there can an your which".split()
SIZES = {"train": 300, "validation": 80, "test": 80}
SPACE: Json = {
    "techniques": {
        "depth": {"placement": "even"},
        "feed_forward": {"kept": [0.25, 0.5, 1.0], "allocation": "importance"},
        "distillation": {"hidden": [1.0, 0.0], "relations": 0.0, "learning_rate": 4e-4},
        "linear_bits": {"bits": [4, 8, 32]},
        "embedding_bits": {"bits": [4, 8]},
        "exits": {"threshold": [0.9, 1.0]},
    },
    "start": [
        {"post_training": True, "linear_bits.bits": 8, "embedding_bits.bits": 8},
        {"depth.layers": 1, "feed_forward.kept": 0.5, "linear_bits.bits": 4, "embedding_bits.bits": 4},
    ],
}


def write_texts(folder: Path, sizes: dict[str, int] | None = None, seed: int = 0) -> Path:
    """A folder of CSV splits; one telling word among fillers decides the label, and no text occurs twice."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    seen: set[str] = set()
    for split, size in (sizes or SIZES).items():
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(["text", "label"])
            for i in range(size):
                table.writerow(_text(rng, list(WORDS)[i % 2], seen))
    return folder


def _text(rng: np.random.Generator, label: str, seen: set[str]) -> tuple[str, str]:
    while True:
        words = [*rng.choice(FILLERS, int(rng.integers(3, 12))), *rng.choice(WORDS[label], 2)]
        text = " ".join(rng.permutation(words))
        if text not in seen:
            seen.add(text)
            return text, label


def write_bert(folder: Path, **changes: object) -> Path:
    """A Hugging Face folder of a random BERT without a head: 3 layers, hidden size 32, 400 pieces."""
    from autocomp.testing.hugging_face import hugging_face
    from autocomp.testing.models import wordpiece_tokenizer

    sizes: dict[str, object] = {"num_hidden_layers": 3, "intermediate_size": 64, "vocab_size": 400, **changes}
    hugging_face("bert", "Model", initializer_range=0.1, **sizes).save_pretrained(folder)
    wordpiece_tokenizer(400).save(str(folder / "tokenizer.json"))
    return folder


def write_study(folder: Path, **changes: Any) -> Path:
    """`folder/tiny.yaml`: a study of three trials with one worker, beside its model, texts and search space.

    Args:
        folder: takes everything; made if it is not there.
        changes: keys of `StudySpec`; `space` may be a mapping, which becomes the search space's file; `model` and
            `texts` name folders that are there already.
    """
    space = changes.pop("space", SPACE)
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(space, dict):
        (folder / "tiny_space.yaml").write_text(yaml.safe_dump(space, sort_keys=False), encoding="utf-8")
        space = str(folder / "tiny_space.yaml")
    study: Json = {
        "model": changes.pop("model", None) or str(write_bert(folder / "bert")),
        "task": {"source": changes.pop("texts", None) or str(write_texts(folder / "texts")), "max_length": 24},
        "space": space,
        "budget": "3trials",
        "workers": 1,
        "teacher_epochs": 10.0,
        "teacher_learning_rate": 2e-3,
        "recovery_steps": [20, 60],
        **changes,
    }
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    return file
