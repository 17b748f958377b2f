"""Keep the most frequent pieces of the vocabulary and re-tokenise with them; a dropped piece never becomes [UNK].

Idea: Zhao et al. 2019 (arXiv:1909.11687) train a small vocabulary; we keep the teacher's rows, so nothing is relearnt.
A smaller vocabulary makes texts longer (SST-2: 4,000 pieces 1.18 times the tokens, 2,000 1.39 times).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from autocomp.space import Knob
from autocomp.techniques._base import ANY_ARCHITECTURE, Context, Options, PlannedModel, Stage, Technique

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student

GRID = (1000, 1500, 2000, 3000, 4000, 6000, 8000, 12000, 16000, 24000)


class VocabularyOptions(Options):
    """`pieces` kept; None keeps all."""

    pieces: int | None = Field(default=None, ge=50)


def shrink_vocabulary(student: Student, size: int, counts: dict[str, int]) -> Student:
    """The student with `size` pieces: special ones, single characters, then the most frequent in `counts`."""
    from autocomp.models.slicing import keep_vocabulary
    from autocomp.tokenizers.vocabulary import choose_pieces, prune_vocabulary

    kept = choose_pieces(student.tokenizer, counts, size)
    tokenizer, old_ids = prune_vocabulary(student.tokenizer, kept)
    return replace(student, tokenizer=tokenizer, encoder=keep_vocabulary(student.encoder, old_ids))


class Vocabulary(Technique[VocabularyOptions]):
    """The technique that keeps the most frequent pieces of the vocabulary."""

    summary = "keep the most frequent word pieces; texts are re-tokenised, nothing becomes [UNK]"
    paper = "Zhao et al. 2019, arXiv:1909.11687"
    stage = Stage.VOCABULARY
    touches = frozenset({"vocabulary"})
    architectures = ANY_ARCHITECTURE
    Options = VocabularyOptions

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """Piece counts below the teacher's, and the teacher's own."""
        return {"pieces": Knob((*(n for n in GRID if n < shape.vocabulary), shape.vocabulary))}

    def prepare(self, student: Student, options: VocabularyOptions, context: Context) -> Student:
        """Cut the vocabulary unless it is small enough already."""
        if options.pieces is None or options.pieces >= student.encoder.shape.vocabulary:
            return student
        return shrink_vocabulary(student, options.pieces, dict(context.pieces))

    def planned(self, model: PlannedModel, options: VocabularyOptions) -> PlannedModel:
        """Fewer rows of the word table."""
        rows = model.shape.vocabulary
        return replace(model, shape=replace(model.shape, vocabulary=min(options.pieces or rows, rows)))

    def describe(self, options: VocabularyOptions, teacher: EncoderShape) -> str:
        """`4,000 pieces`."""
        changed = options.pieces and options.pieces < teacher.vocabulary
        return f"{options.pieces:,} pieces" if changed else ""

    def explain(self, options: VocabularyOptions, teacher: EncoderShape) -> str:
        """Sentences on how many pieces are left, and on how other words are spelled."""
        if not self.describe(options, teacher):
            return ""
        counts = f"{options.pieces:,} of the teacher's {teacher.vocabulary:,} word pieces"
        return f"Knows {counts}; other words are spelled with more and shorter pieces."


technique = Vocabulary()
