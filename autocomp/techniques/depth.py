"""Keep some encoder layers, in order (Sajjad et al. 2020, arXiv:2004.03844; Fan et al. 2019, arXiv:1909.11556)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from autocomp.errors import InfeasiblePlan
from autocomp.space import Knob
from autocomp.techniques._base import Context, Options, PlannedModel, Stage, Technique, listed

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student


class DepthOptions(Options):
    """How many layers, and which: the lowest, or evenly spread from first to last; `kept` names them exactly."""

    layers: int | None = Field(default=None, ge=1)
    placement: Literal["bottom", "even"] = "bottom"
    kept: tuple[int, ...] | None = None


def chosen_layers(depth: int, layers: int, placement: str) -> tuple[int, ...]:
    """Indices of the kept layers, ascending."""
    if placement == "bottom" or layers == 1:
        return tuple(range(layers))
    return tuple(round(i * (depth - 1) / (layers - 1)) for i in range(layers))


def shrink_depth(student: Student, kept: Sequence[int]) -> Student:
    """The student with only these layers."""
    from autocomp.models.slicing import keep_layers

    origin = student.origin or tuple(range(student.encoder.shape.depth))
    return replace(student, encoder=keep_layers(student.encoder, kept), origin=tuple(origin[i] for i in kept))


class Depth(Technique[DepthOptions]):
    """The technique that removes whole layers."""

    summary = "keep some of the encoder's layers"
    paper = "Sajjad et al. 2020, arXiv:2004.03844"
    stage = Stage.DEPTH
    touches = frozenset({"layers"})
    Options = DepthOptions

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """The number of layers, from 1 to all, and which ones: `bottom` or `even`."""
        return {"layers": Knob(tuple(range(1, shape.depth + 1))), "placement": Knob(("even", "bottom"))}

    def settle(self, student: Student, options: DepthOptions, context: Context) -> DepthOptions:
        """Name the kept layers."""
        depth = student.encoder.shape.depth
        kept = options.kept or chosen_layers(depth, min(options.layers or depth, depth), options.placement)
        if not kept or max(kept) >= depth or list(kept) != sorted(set(kept)):
            raise InfeasiblePlan(f"depth.kept must be ascending layers below {depth}, got {kept}")
        return options.model_copy(update={"kept": tuple(kept), "layers": len(kept)})

    def prepare(self, student: Student, options: DepthOptions, context: Context) -> Student:
        """Drop the other layers."""
        kept = self.settle(student, options, context).kept or ()
        return student if len(kept) == student.encoder.shape.depth else shrink_depth(student, kept)

    def planned(self, model: PlannedModel, options: DepthOptions) -> PlannedModel:
        """The kept layers, with the blocks that they run."""
        shape = model.shape
        kept = [layer for layer in options.kept or () if 0 <= layer < shape.depth]
        if not kept:
            return model
        blocks = list(dict.fromkeys(shape.order[layer] for layer in kept))
        order = tuple(blocks.index(shape.order[layer]) for layer in kept)
        shape = replace(shape, blocks=tuple(shape.blocks[block] for block in blocks), order=order)
        return replace(model, shape=shape, origin=tuple(model.origin[layer] for layer in kept))

    def describe(self, options: DepthOptions, teacher: EncoderShape) -> str:
        """`2 of 6 layers`."""
        layers = len(options.kept) if options.kept else options.layers
        return f"{layers} of {teacher.depth} layers" if layers and layers < teacher.depth else ""

    def explain(self, options: DepthOptions, teacher: EncoderShape) -> str:
        """A sentence on the layers that are left."""
        if not self.describe(options, teacher):
            return ""
        count = len(options.kept) if options.kept else int(options.layers or 0)
        kept = options.kept or chosen_layers(teacher.depth, count, options.placement)
        lowest = "the lowest one" if count == 1 else f"the lowest {count}"
        which = lowest if tuple(kept) == tuple(range(count)) else f"numbers {listed([k + 1 for k in kept])} from below"
        return f"Keeps {count} of the teacher's {teacher.depth} layers: {which}."


technique = Depth()
