"""Bits of the embedding tables, one scale per row, unpacked when the file is loaded.

8 bits: Q8BERT (arXiv:1910.06188); fewer are our own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from autocomp.space import Knob
from autocomp.techniques._base import ANY_ARCHITECTURE, Context, Options, PlannedModel, Stage, Technique
from autocomp.techniques._bits import set_embedding_bits

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student


class EmbeddingBitsOptions(Options):
    """Bits of word, position and token-type embeddings; 16 is FP16."""

    bits: Literal[2, 3, 4, 5, 6, 7, 8, 16, 32] = 32


class EmbeddingBits(Technique[EmbeddingBitsOptions]):
    """The technique that sets how many bits the embedding tables take."""

    summary = "bits of the embedding tables, 2 to 8 or FP32"
    paper = "Zafrir et al. 2019 (Q8BERT), arXiv:1910.06188"
    stage = Stage.NUMERICS
    touches = frozenset({"embeddings.format"})
    architectures = ANY_ARCHITECTURE
    Options = EmbeddingBitsOptions

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """Bits from 2 to 8, and 32."""
        return {"bits": Knob((2, 3, 4, 5, 6, 7, 8, 32))}

    def convert(self, student: Student, options: EmbeddingBitsOptions, context: Context) -> Student:
        """Set the tables' format."""
        return set_embedding_bits(student, options.bits)

    def planned(self, model: PlannedModel, options: EmbeddingBitsOptions) -> PlannedModel:
        """Bits of the word table."""
        return replace(model, embedding_bits=options.bits)

    def describe(self, options: EmbeddingBitsOptions, teacher: EncoderShape) -> str:
        """`4-bit embeddings`."""
        return f"{options.bits}-bit embeddings" if options.bits < 32 else ""

    def explain(self, options: EmbeddingBitsOptions, teacher: EncoderShape) -> str:
        """A sentence on the bits of a number in the tables."""
        return f"Numbers of the embedding tables take {options.bits} bits instead of 32." if options.bits < 32 else ""


technique = EmbeddingBits()
