"""Folders of tiny models, as a user would give them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autocomp.testing.models import hugging_face, wordpiece_tokenizer


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """`saved(family, suffix, **config)` writes a random model with a tokenizer and gives its folder."""

    def save(family: str, suffix: str = "ForSequenceClassification", **changes: object) -> Path:
        folder = tmp_path / f"{family}{suffix}"
        hugging_face(family, suffix, **changes).save_pretrained(folder)
        tokenizer = wordpiece_tokenizer(300)
        tokenizer.enable_padding(length=128)
        tokenizer.enable_truncation(128)
        tokenizer.save(str(folder / "tokenizer.json"))
        return folder

    return save
