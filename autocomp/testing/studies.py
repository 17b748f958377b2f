"""What a person writes, made up: a whole study that runs in seconds, and a device that nobody probed.

The study has a tiny BERT that is not fine-tuned yet, separable texts and a small space. No number of the device was
measured.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from autocomp.environment import processor
from autocomp.spec import DeviceProfile, FitError, LatencyTable, Recorded

WORDS = {
    "negative": "bad terrible boring hate ignore".split(),
    "positive": "good great love like people".split(),
}
FILLERS = "the film was with his this from had by one but what all were when we there can an your which".split()
SIZES = {"train": 300, "validation": 80, "test": 80}
SPACE: dict[str, object] = {
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
    from autocomp.testing.models import hugging_face, wordpiece_tokenizer

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
    study: dict[str, object] = {
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


AWAY = "a Cortex-A72"


def recorded_device(
    name: str = "pi4",
    cpu: str | None = AWAY,
    threads: int = 1,
    noise: float = 0.02,
    work: tuple[str, ...] | None = None,
    **costs_ms: float,
) -> DeviceProfile:
    """A profile with a recorded table: 1.5 ms a run, unless costs are given, and predictions that are off by 5 %.

    Args:
        cpu: of the machine; None is this one.
        costs_ms: of a unit of some kinds of work, `runs=0.5, int8_macs=1e-6`.
    """
    from autocomp.devices.work import COUNTED

    here, work = processor(), COUNTED if work is None else work
    costs = costs_ms or {"runs": 1.5}
    recorded = Recorded(
        at="2026-05-01",
        autocomp="0.1.0",
        cpu=cpu or here["cpu"],
        instruction_sets=() if cpu else tuple(here["instruction_sets"]),
        cores=4,
        memory_gb=8.0,
        versions={"onnxruntime": "1.32.0"},
        int8_macs_per_ms=2.5e8,
        fp32_macs_per_ms=1e7,
        noise_spread=noise,
        disturbed=noise > 0.2,
        noise_between_sessions=0.01,
        latency=LatencyTable(
            work=work,
            costs_ms=tuple(costs.get(kind, 0.0) for kind in work),
            error=FitError(median=0.05, low=-0.04, high=0.06, worst=0.3),
            files=("a file",),
            rows=((0, 8, 1.5, 0.1, *[1.0] * len(work)),),
        ),
    )
    return DeviceProfile(name=name, summary="a CPU.", threads=threads, recorded=recorded)
