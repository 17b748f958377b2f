"""Keep the two texts of a pair apart in the lower layers: a token attends to its own text alone.

DeFormer (Cao et al. 2020, arXiv:2005.00697). A text's states in these layers do not depend on the other text, so they
can be kept for later; the file, which is given both texts, is neither smaller nor faster. Single texts change nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from autocomp.space import Knob
from autocomp.techniques._base import Context, Options, Stage, Technique

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student


class LocalAttentionOptions(Options):
    """How many of the lower layers; the texts always meet in the last one."""

    layers: int = Field(default=0, ge=0)


class LocalAttention(Technique[LocalAttentionOptions]):
    """The technique that keeps the two texts of a pair apart in the lower layers."""

    summary = "keep the two texts of a pair apart in the lower layers"
    paper = "Cao et al. 2020 (DeFormer), arXiv:2005.00697"
    stage = Stage.TOKENS
    touches = frozenset({"attention.reach"})
    Options = LocalAttentionOptions

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """The number of layers, from all but one to none."""
        return {"layers": Knob(tuple(range(shape.depth - 1, -1, -1)))}

    def settle(self, student: Student, options: LocalAttentionOptions, context: Context) -> LocalAttentionOptions:
        """No layers where texts are single or their tokens have no types; at most all layers but one."""
        shape = student.encoder.shape
        most = shape.depth - 1 if student.pairs and shape.token_types > 1 else 0
        return options.model_copy(update={"layers": min(options.layers, most)})

    def prepare(self, student: Student, options: LocalAttentionOptions, context: Context) -> Student:
        """Set the number of layers."""
        from autocomp.models.slicing import keep_texts_apart

        layers = self.settle(student, options, context).layers
        return replace(student, encoder=keep_texts_apart(student.encoder, layers)) if layers else student

    def describe(self, options: LocalAttentionOptions, teacher: EncoderShape) -> str:
        """`texts apart in 2 layers`."""
        return f"texts apart in {options.layers} layer{'s' if options.layers > 1 else ''}" if options.layers else ""

    def explain(self, options: LocalAttentionOptions, teacher: EncoderShape) -> str:
        """A sentence on the layers in which the texts are apart."""
        if not options.layers:
            return ""
        where = "the lowest layer" if options.layers == 1 else f"the lowest {options.layers} layers"
        return f"In {where} a token sees only its own text of the pair."


technique = LocalAttention()
