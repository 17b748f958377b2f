"""Variants of training texts for a teacher to answer: some words are replaced by words of other texts.

Idea: TinyBERT (arXiv:1909.10351) and Tang et al. 2019 (arXiv:1903.12136) distil on many variants of each text; theirs
need a language model or a tagger. Ours need nothing: what a variant means is the teacher's to say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from autocomp.tasks import Example

WORD = re.compile(r"\S+")
FEWEST, MOST = 0.05, 0.4
"""Of a text's words, how many are replaced: a share drawn anew for each text."""
SAMPLED = 5000


def words_of(examples: Sequence[Example], rng: np.random.Generator) -> list[str]:
    """Words as often as they occur, of all texts or of many drawn at random; never none."""
    rows = rng.permutation(len(examples))[:SAMPLED]
    found = [word for row in rows for text in examples[row][:2] for word in WORD.findall(text or "")]
    return found or [""]


def varied(example: Example, words: Sequence[str], rng: np.random.Generator) -> Example:
    """The example with some of its words replaced by some of `words`; its label need not be right any more.

    Where a word comes again, in a pair's other text too, its replacement does: two texts that say the same still may.
    """
    share, replaced = rng.uniform(FEWEST, MOST), dict[str, str]()

    def replace(found: re.Match[str]) -> str:
        word = found[0]
        if word not in replaced:
            replaced[word] = words[int(rng.integers(len(words)))] if rng.random() < share else word
        return replaced[word]

    pair = example.pair if example.pair is None else WORD.sub(replace, example.pair)
    return example._replace(text=WORD.sub(replace, example.text), pair=pair)
