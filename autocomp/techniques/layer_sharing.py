"""Let neighbouring layers run one block of weights, as ALBERT does (Lan et al. 2020, arXiv:1909.11942).

The file holds the block once and runs it as often: smaller, not faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from autocomp.errors import InfeasiblePlan
from autocomp.space import Knob
from autocomp.techniques._base import Context, Options, PlannedModel, Stage, Technique

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student


class LayerSharingOptions(Options):
    """How many neighbours share a block, and what it starts from; `runs` names the layers of each block exactly."""

    layers: int = Field(default=1, ge=1)
    start: Literal["mean", "first"] = "mean"
    runs: tuple[Annotated[int, Field(ge=1)], ...] | None = None


def runs_of(depth: int, layers: int) -> tuple[int, ...]:
    """Layers of each block: the same number in every block, and the rest in the last."""
    full, rest = divmod(depth, layers)
    return (layers,) * full + ((rest,) if rest else ())


def shared_already(order: Sequence[int]) -> tuple[int, ...]:
    """How often each block runs in a row."""
    return tuple(len(list(run)) for _, run in groupby(order))


class LayerSharing(Technique[LayerSharingOptions]):
    """The technique that lets neighbouring layers share one block of weights."""

    summary = "let neighbouring layers run one block of weights (smaller file, same speed)"
    paper = "Lan et al. 2020 (ALBERT), arXiv:1909.11942"
    stage = Stage.SHARING
    touches = frozenset({"layers.weights"})
    Options = LayerSharingOptions

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """Layers that share a block: all, half of them, three, two or one."""
        layers = {shape.depth, (shape.depth + 1) // 2, *(n for n in (3, 2, 1) if n <= shape.depth)}
        return {"layers": Knob(tuple(sorted(layers, reverse=True))), "start": Knob(("first", "mean"))}

    def settle(self, student: Student, options: LayerSharingOptions, context: Context) -> LayerSharingOptions:
        """Name the layers of each block; a student that has no more blocks than that stays as it is."""
        shape = student.encoder.shape
        if options.runs is not None and sum(options.runs) != shape.depth:
            raise InfeasiblePlan(f"layer_sharing.runs = {list(options.runs)}, but they must be {shape.depth} layers")
        if options.runs is not None or options.layers == 1:
            return options
        runs = runs_of(shape.depth, options.layers)
        fewer = len(runs) < len(shape.blocks)
        return options.model_copy(update={"runs": runs if fewer else shared_already(shape.order)})

    def prepare(self, student: Student, options: LayerSharingOptions, context: Context) -> Student:
        """Share blocks."""
        from autocomp.models.slicing import share_layers

        runs = self.settle(student, options, context).runs
        if runs is None or runs == shared_already(student.encoder.shape.order):
            return student
        return replace(student, encoder=share_layers(student.encoder, runs, options.start))

    def planned(self, model: PlannedModel, options: LayerSharingOptions) -> PlannedModel:
        """One block for each run of layers, of the size of the run's first."""
        shape, runs = model.shape, options.runs or ()
        if sum(runs) != shape.depth:
            return model
        starts = [sum(runs[:i]) for i in range(len(runs))]
        blocks = tuple(shape.blocks[shape.order[start]] for start in starts)
        order = tuple(block for block, length in enumerate(runs) for _ in range(length))
        return replace(model, shape=replace(shape, blocks=blocks, order=order))

    def describe(self, options: LayerSharingOptions, teacher: EncoderShape) -> str:
        """`6 layers in 2 blocks`."""
        if options.runs is None:
            return f"{options.layers} layers a block" if options.layers > 1 else ""
        layers, blocks = sum(options.runs), len(options.runs)
        words = f"{layers} layers in {blocks} block{'s' if blocks > 1 else ''}"
        return words if blocks < min(layers, len(teacher.blocks)) else ""

    def explain(self, options: LayerSharingOptions, teacher: EncoderShape) -> str:
        """A sentence on how many blocks of weights there are."""
        if not self.describe(options, teacher):
            return ""
        if options.runs is None:
            return f"Every {options.layers} neighbouring layers share one set of weights."
        sets = "one set" if len(options.runs) == 1 else f"{len(options.runs)} sets"
        return f"{sum(options.runs)} layers share {sets} of weights: this saves bytes and no time."


technique = LayerSharing()
