"""Leave tokens behind on the way up: those that receive the least attention, in every second layer from the second on.

PoWER-BERT (Goyal et al. 2020, arXiv:2001.08950). There the schedule is learned; here it comes from one knob, and
recovery trains with it. The first layer's attention chooses badly, and each choice costs some small operators: MiniLM
fine-tuned on SST-2, 34 % of the tokens to the last of 6 layers, scores 88.3 % on the validation split before recovery
(89.3 % with all tokens), but 82.3 % if every layer but the last chooses, which is no faster.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from autocomp.errors import InfeasiblePlan
from autocomp.space import Knob
from autocomp.techniques._base import Context, Options, PlannedModel, Stage, Technique

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student


class TokenEliminationOptions(Options):
    """`kept`: fraction of a text's tokens that reach the last layer; `per_layer`: what goes on after each attention."""

    kept: float = Field(default=1.0, gt=0, le=1)
    per_layer: tuple[Annotated[float, Field(gt=0, le=1)], ...] | None = None


def schedule(kept: float, depth: int) -> tuple[float, ...]:
    """Equal steps after every second attention from the second on, `kept` of all tokens in the end.

    Never in the last layer, of which only one token is computed; of two layers, in the first.
    """
    steps = range(1, depth - 1, 2) or range(depth - 1)
    fraction = max(0.001, round(kept ** (1 / max(len(steps), 1)), 3))
    return tuple(fraction if layer in steps else 1.0 for layer in range(depth))


class TokenElimination(Technique[TokenEliminationOptions]):
    """The technique that leaves the least attended tokens behind."""

    summary = "leave the least attended tokens behind on the way up (faster on long texts, same size)"
    paper = "Goyal et al. 2020 (PoWER-BERT), arXiv:2001.08950"
    stage = Stage.TOKENS
    touches = frozenset({"tokens"})
    Options = TokenEliminationOptions

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """The fraction of tokens kept, from a tenth to all."""
        return {"kept": Knob((0.1, 0.2, 0.34, 0.5, 0.67, 1.0))}

    def settle(self, student: Student, options: TokenEliminationOptions, context: Context) -> TokenEliminationOptions:
        """Name the fraction of each layer."""
        depth = student.encoder.shape.depth
        if options.per_layer is not None and len(options.per_layer) != depth:
            rule = f"there must be one fraction for each of {depth} layers"
            raise InfeasiblePlan(f"token_elimination.per_layer = {list(options.per_layer)}, but {rule}")
        if options.per_layer is not None or options.kept == 1:
            return options
        return options.model_copy(update={"per_layer": schedule(options.kept, depth)})

    def prepare(self, student: Student, options: TokenEliminationOptions, context: Context) -> Student:
        """Set the fractions."""
        from autocomp.models.slicing import keep_tokens

        fractions = self.settle(student, options, context).per_layer or ()
        if all(fraction == 1 for fraction in fractions[:-1]):
            return student
        return replace(student, encoder=keep_tokens(student.encoder, fractions))

    def planned(self, model: PlannedModel, options: TokenEliminationOptions) -> PlannedModel:
        """The fraction of tokens that each layer lets go on."""
        return replace(model, shape=replace(model.shape, tokens=options.per_layer or ()))

    def describe(self, options: TokenEliminationOptions, teacher: EncoderShape) -> str:
        """`34 % of tokens to the last layer`."""
        fractions = options.per_layer[:-1] if options.per_layer is not None else (options.kept,)
        reach = 1.0
        for fraction in fractions:
            reach *= fraction
        return f"{100 * reach:.0f} % of tokens to the last layer" if reach < 1 else ""

    def explain(self, options: TokenEliminationOptions, teacher: EncoderShape) -> str:
        """A sentence on how many tokens reach the last layer."""
        words = self.describe(options, teacher)
        return f"Tokens that nothing attends to are left behind: {words.replace(' to ', ' reach ')}." if words else ""


technique = TokenElimination()
