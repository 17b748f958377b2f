"""Narrow the feed-forward of each layer: neurons go, the least important first.

McCarley et al. 2019 (arXiv:1910.06360). Widths stay multiples of 32: int8 kernels work in tiles.
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

TILE = 32


class FeedForwardOptions(Options):
    """Fraction of all neurons kept and how it is shared out; `per_layer` gives the widths exactly."""

    kept: float = Field(default=1.0, gt=0, le=1)
    allocation: Literal["uniform", "importance"] = "uniform"
    per_layer: tuple[int, ...] | None = None


def shrink_feed_forward(student: Student, widths: tuple[int, ...], scores: list[np.ndarray]) -> Student:
    """The student with block i's feed-forward `widths[i]` wide, its most important neurons kept."""
    from autocomp.models.slicing import keep_feed_forward

    encoder = student.encoder
    for block, (width, score) in enumerate(zip(widths, scores, strict=True)):
        if width < encoder.shape.blocks[block].feed_forward:
            encoder = keep_feed_forward(encoder, block, best(score, width))
    return replace(student, encoder=encoder)


class FeedForward(Technique[FeedForwardOptions]):
    """The technique that removes the least important neurons of feed-forward layers."""

    summary = "narrow the feed-forward of each layer to its most important neurons"
    paper = "McCarley et al. 2019, arXiv:1910.06360"
    stage = Stage.WIDTH
    touches = frozenset({"feed_forward.width"})
    Options = FeedForwardOptions

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """The fraction of neurons kept, from an eighth to all."""
        kept = (0.125, 0.17, 0.25, 0.34, 0.5, 0.67, 1.0)
        return {"kept": Knob(kept), "allocation": Knob(("importance", "uniform"))}

    def settle(self, student: Student, options: FeedForwardOptions, context: Context) -> FeedForwardOptions:
        """Name the width of each block."""
        from autocomp.models.importance import block_scores

        scores = block_scores(student, context.importance, "feed_forward")
        widths = options.per_layer or kept_counts(scores, options.kept, options.allocation, TILE)
        if len(widths) != len(scores) or any(not 1 <= w <= len(s) for w, s in zip(widths, scores, strict=False)):
            sizes = [len(s) for s in scores]
            raise InfeasiblePlan(f"feed_forward.per_layer must hold 1 to {sizes} neurons per layer, got {widths}")
        return options.model_copy(update={"per_layer": tuple(widths)})

    def prepare(self, student: Student, options: FeedForwardOptions, context: Context) -> Student:
        """Remove neurons."""
        from autocomp.models.importance import block_scores

        widths = self.settle(student, options, context).per_layer or ()
        return shrink_feed_forward(student, widths, block_scores(student, context.importance, "feed_forward"))

    def planned(self, model: PlannedModel, options: FeedForwardOptions) -> PlannedModel:
        """The feed-forward width of each block."""
        blocks = model.shape.blocks
        widths = options.per_layer or [block.feed_forward for block in blocks]
        kept = tuple(replace(block, feed_forward=width) for block, width in zip(blocks, widths, strict=True))
        return replace(model, shape=replace(model.shape, blocks=kept))

    def describe(self, options: FeedForwardOptions, teacher: EncoderShape) -> str:
        """`feed-forward 512-768`."""
        full = max(b.feed_forward for b in teacher.blocks)
        widths = options.per_layer or ()
        return f"feed-forward {'-'.join(map(str, widths))}" if any(w < full for w in widths) else ""

    def explain(self, options: FeedForwardOptions, teacher: EncoderShape) -> str:
        """A sentence on how wide each feed-forward layer is."""
        if not self.describe(options, teacher):
            return ""
        full = max(b.feed_forward for b in teacher.blocks)
        return kept_words(options.per_layer or (), full, "feed-forward neurons")


technique = FeedForward()
