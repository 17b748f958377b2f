"""Gradual magnitude pruning: while the student is recovered, ever more of its smallest weights become zero.

Zhu and Gupta 2017, "To prune, or not to prune" (arXiv:1710.01878): the fraction of zeros rises as a cubic, fast at
first, and the survivors keep training under their mask. Zeros are shared out over the layers and stored as by
`sparsity`; a student that is trained further begins with the zeros that it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from autocomp.space import Knob
from autocomp.techniques._base import ANY_ARCHITECTURE, Context, Options, PlannedModel, Stage, Technique
from autocomp.techniques._zeros import shared_out, sparsify, survivors
from autocomp.training.hooks import Hook

if TYPE_CHECKING:
    from torch import Tensor, nn

    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student

EVERY = 20
"""Steps between two updates of the masks, each of which takes as long as two steps (0.2 s on a core of a Zen 4, three
layers of hidden size 384)."""


class GradualPruningOptions(Options):
    """Fraction of all linear weights that become zero, and the part of each training at whose end they are."""

    fraction: float = Field(default=0.0, ge=0, lt=1)
    ends: float = Field(default=0.6, gt=0, le=1)


def zeros_after(fraction: float, start: float, end: float, ends: float) -> float:
    """The fraction of zeros when a part of the training is done: from `start` as a cubic to `end` at `ends`."""
    left = max(0.0, 1 - fraction / ends)
    return end + (start - end) * left**3


class _Pruning(Hook):
    """Zeros in one student's linear weights while it is trained; weights of low rank stay as they are."""

    def __init__(self, student: Student, options: GradualPruningOptions) -> None:
        self._student, self._options, self._steps = student, options, 0
        self._masks: dict[str, Tensor] = {}
        self._asked = 0.0

    def begin(self, teacher: Student) -> None:
        """Go on from the zeros that an earlier training left."""
        weights = self._weights()
        self._masks = {name: weights[name] != 0 for name in pruned(self._student) if name in weights}
        size = sum(weight.numel() for weight in weights.values())
        zeros = sum(int((~mask).sum()) for mask in self._masks.values())
        self._start = zeros / max(1, size)

    def after_step(self, fraction: float) -> None:
        """Hold the zeros, and every few steps add some."""
        if self._steps % EVERY == 0:
            self._prune(zeros_after(fraction, self._start, self._end, self._options.ends))
        self._steps += 1
        self._hold()

    def finish(self) -> None:
        """All zeros there are to be, even if the training ended before its time."""
        self._prune(self._end)
        self._hold()

    @property
    def _end(self) -> float:
        return max(self._start, self._options.fraction)

    def _weights(self) -> dict[str, nn.Parameter]:
        """The matrices that may have zeros, by name."""
        from autocomp.models.linears import linear_groups

        known = dict(self._student.encoder.named_parameters())
        names = [name for group in linear_groups(self._student.encoder.shape).values() for name in group]
        return {name: known[name] for name in names if name in known}

    def _prune(self, fraction: float) -> None:
        """New masks at which a fraction of all weights is zero; what was zero stays so."""
        from autocomp.models.linears import linear_groups, scaled_magnitudes

        self._hold()
        if fraction <= self._asked or fraction <= self._start:
            return
        self._asked, weights = fraction, self._weights()
        per_group = shared_out(scaled_magnitudes(self._student.encoder), fraction)
        for group, names in linear_groups(self._student.encoder.shape).items():
            for name in (n for n in names if n in weights):
                weight = weights[name].detach()
                self._masks[name] = survivors(weight, per_group[group]) & (weight != 0)
        mark_sparse(self._student, {name: mask for name, mask in self._masks.items() if not bool(mask.all())})

    def _hold(self) -> None:
        import torch

        weights = self._weights()
        with torch.no_grad():
            for name, mask in self._masks.items():
                weights[name].mul_(mask.to(weights[name].device))


def pruned(student: Student) -> list[str]:
    """Names of the weights that are stored sparse."""
    return [name for name, format in student.formats.items() if format.sparse]


def mark_sparse(student: Student, names: Mapping[str, object]) -> None:
    """Let these weights be stored sparse, in place; what else their formats say stays."""
    from autocomp.formats import FLOAT32

    sparse = {name: replace(student.formats.get(name, FLOAT32), sparse=True) for name in names}
    student.formats = {**student.formats, **sparse}


class GradualPruning(Technique[GradualPruningOptions]):
    """The technique that zeroes ever more of the smallest linear weights during recovery."""

    summary = "zero the smallest weights little by little while the rest learn, and store only the rest"
    paper = "Zhu and Gupta 2017, arXiv:1710.01878"
    stage = Stage.SPARSITY
    touches = frozenset({"linears.zeros"})
    architectures = ANY_ARCHITECTURE
    Options = GradualPruningOptions

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """None to 80 %."""
        return {"fraction": Knob((0.8, 0.7, 0.6, 0.5, 0.4, 0.0))}

    def training(self, student: Student, options: GradualPruningOptions, context: Context) -> Hook | None:
        """Prune while it is trained."""
        return _Pruning(student, options) if options.fraction else None

    def convert(self, student: Student, options: GradualPruningOptions, context: Context) -> Student:
        """A student that was not trained loses all weights at once; one that was has its zeros already."""
        from autocomp.models.linears import scaled_magnitudes

        if not options.fraction or pruned(student):
            return student
        return sparsify(student, shared_out(scaled_magnitudes(student.encoder), options.fraction))

    def planned(self, model: PlannedModel, options: GradualPruningOptions) -> PlannedModel:
        """Zeros on the whole: how they are shared out shows in training."""
        return replace(model, zeros={"": options.fraction})

    def describe(self, options: GradualPruningOptions, teacher: EncoderShape) -> str:
        """`60 % pruned in training`."""
        return f"{options.fraction:.0%} pruned in training".replace("%", " %") if options.fraction else ""

    def explain(self, options: GradualPruningOptions, teacher: EncoderShape) -> str:
        """Which weights, and when."""
        if not options.fraction:
            return ""
        share = f"{100 * options.fraction:g} % of the linear weights, the smallest ones, are zero"
        return f"{share} and left out of the file; they went little by little while the others learnt."


technique = GradualPruning()
