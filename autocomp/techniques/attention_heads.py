"""Remove attention heads, the least important first, as many in each layer as it can spare.

Importance is |gradient x output| on training texts (Michel et al. 2019, arXiv:1905.10650).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from autocomp.errors import InfeasiblePlan
from autocomp.space import Knob
from autocomp.techniques._base import Context, Options, PlannedModel, Stage, Technique, best, kept_counts, kept_words

if TYPE_CHECKING:
    import numpy as np

    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student


class AttentionHeadsOptions(Options):
    """Fraction of all heads kept and how it is shared out; `per_layer` gives the counts exactly."""

    kept: float = Field(default=1.0, gt=0, le=1)
    allocation: Literal["uniform", "importance"] = "uniform"
    per_layer: tuple[int, ...] | None = None


def shrink_heads(student: Student, counts: tuple[int, ...], scores: list[np.ndarray]) -> Student:
    """The student with `counts[i]` of block i's heads, those with the highest scores."""
    from autocomp.models.slicing import keep_heads

    encoder = student.encoder
    for block, (count, score) in enumerate(zip(counts, scores, strict=True)):
        if count < encoder.shape.blocks[block].heads:
            encoder = keep_heads(encoder, block, best(score, count))
    return replace(student, encoder=encoder)


class AttentionHeads(Technique[AttentionHeadsOptions]):
    """The technique that removes the least important attention heads."""

    summary = "remove the least important attention heads, per layer"
    paper = "Michel et al. 2019, arXiv:1905.10650"
    stage = Stage.WIDTH
    touches = frozenset({"attention.heads"})
    Options = AttentionHeadsOptions

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """The fraction of heads kept, from a quarter to all."""
        return {"kept": Knob((0.25, 0.34, 0.5, 0.67, 0.84, 1.0)), "allocation": Knob(("importance", "uniform"))}

    def settle(self, student: Student, options: AttentionHeadsOptions, context: Context) -> AttentionHeadsOptions:
        """Name the number of heads of each block."""
        from autocomp.models.importance import block_scores

        scores = block_scores(student, context.importance, "heads")
        counts = options.per_layer or kept_counts(scores, options.kept, options.allocation, 1)
        if len(counts) != len(scores) or any(not 1 <= c <= len(s) for c, s in zip(counts, scores, strict=False)):
            sizes = [len(s) for s in scores]
            raise InfeasiblePlan(f"attention_heads.per_layer must hold 1 to {sizes} heads per layer, got {counts}")
        return options.model_copy(update={"per_layer": tuple(counts)})

    def prepare(self, student: Student, options: AttentionHeadsOptions, context: Context) -> Student:
        """Remove heads."""
        from autocomp.models.importance import block_scores

        counts = self.settle(student, options, context).per_layer or ()
        return shrink_heads(student, counts, block_scores(student, context.importance, "heads"))

    def planned(self, model: PlannedModel, options: AttentionHeadsOptions) -> PlannedModel:
        """The heads of each block."""
        blocks = model.shape.blocks
        heads = options.per_layer or [block.heads for block in blocks]
        kept = tuple(replace(block, heads=count) for block, count in zip(blocks, heads, strict=True))
        return replace(model, shape=replace(model.shape, blocks=kept))

    def describe(self, options: AttentionHeadsOptions, teacher: EncoderShape) -> str:
        """`6-4 heads`."""
        full = max(b.heads for b in teacher.blocks)
        counts = options.per_layer or ()
        return f"{'-'.join(map(str, counts))} heads" if any(c < full for c in counts) else ""

    def explain(self, options: AttentionHeadsOptions, teacher: EncoderShape) -> str:
        """A sentence on how many heads each layer keeps."""
        if not self.describe(options, teacher):
            return ""
        return kept_words(options.per_layer or (), max(b.heads for b in teacher.blocks), "attention heads")


technique = AttentionHeads()
