"""Store linear weights as two factors of a lower rank, cut by singular values before recovery.

Noach and Goldberg 2020, "Compressing pre-trained language models by matrix decomposition" (AACL). Recovery trains the
factors. Sparsity, which would raise the rank, leaves these weights alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from autocomp.errors import InfeasiblePlan
from autocomp.space import Knob
from autocomp.techniques._base import Context, Options, PlannedModel, Stage, Technique, check_groups, rounded

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student

TILE = 16
WHOLE = 0


class LowRankOptions(Options):
    """`kept`: fraction of each weight's rank; `per_group` gives each group's rank exactly, 0 for whole weights."""

    kept: float = Field(default=1.0, gt=0, le=1)
    per_group: dict[str, Annotated[int, Field(ge=0)]] | None = None


def smallest_sides(student: Student) -> dict[str, tuple[int, float]]:
    """Per group of weights: the largest rank they can have, and the rank at which factors are no smaller than they."""
    from autocomp.models.linears import full_sizes, linear_groups

    sizes = full_sizes(student.encoder)
    return {
        group: (min(min(sizes[n]) for n in names), min(a * b / (a + b) for a, b in (sizes[n] for n in names)))
        for group, names in linear_groups(student.encoder.shape).items()
    }


def factorize(student: Student, per_group: Mapping[str, int]) -> Student:
    """The student with the linear weights of each group cut to its rank, those of rank 0 left whole."""
    from autocomp.models.linears import linear_groups
    from autocomp.models.slicing import keep_ranks

    groups = linear_groups(student.encoder.shape)
    ranks = {name: rank for group, rank in per_group.items() if rank != WHOLE for name in groups[group]}
    return replace(student, encoder=keep_ranks(student.encoder, ranks)) if ranks else student


class LowRank(Technique[LowRankOptions]):
    """The technique that stores linear weights as two factors."""

    summary = "store linear weights as two factors of a lower rank"
    paper = "Noach and Goldberg 2020, Compressing pre-trained language models by matrix decomposition, AACL"
    stage = Stage.RANK
    touches = frozenset({"linears.rank"})
    Options = LowRankOptions

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """Ranks from an eighth to all; square weights get smaller below a half, wide ones below four fifths."""
        return {"kept": Knob((0.125, 0.17, 0.25, 0.34, 0.5, 0.67, 1.0))}

    def settle(self, student: Student, options: LowRankOptions, context: Context) -> LowRankOptions:
        """Name the rank of each group; one whose factors would not be smaller stays whole."""
        sides = smallest_sides(student)
        if options.per_group is not None:
            check_groups(student, options.per_group, "low_rank")
            for group, rank in options.per_group.items():
                if rank >= sides[group][1]:
                    rule = f"rank < {sides[group][1]:.4g} must hold for factors to be smaller; 0 leaves weights whole"
                    raise InfeasiblePlan(f"low_rank.per_group.{group} = {rank}, but {rule}")
            return options
        if options.kept == 1:
            return options
        ranks = {group: rounded(options.kept * full, full, TILE) for group, (full, _) in sides.items()}
        smaller = {group: rank if rank < sides[group][1] else WHOLE for group, rank in ranks.items()}
        return options.model_copy(update={"per_group": smaller})

    def prepare(self, student: Student, options: LowRankOptions, context: Context) -> Student:
        """Cut ranks."""
        return factorize(student, self.settle(student, options, context).per_group or {})

    def planned(self, model: PlannedModel, options: LowRankOptions) -> PlannedModel:
        """Ranks by group: nothing is known of single weights yet."""
        ranks = tuple((group, rank) for group, rank in (options.per_group or {}).items() if rank)
        return replace(model, shape=replace(model.shape, ranks=ranks))

    def describe(self, options: LowRankOptions, teacher: EncoderShape) -> str:
        """`rank 96` or `rank 64 to 96`."""
        if options.per_group is None:
            return f"rank × {options.kept:g}" if options.kept < 1 else ""
        ranks = sorted({rank for rank in options.per_group.values() if rank != WHOLE})
        return f"rank {' to '.join(map(str, dict.fromkeys((ranks[0], ranks[-1]))))}" if ranks else ""

    def explain(self, options: LowRankOptions, teacher: EncoderShape) -> str:
        """A sentence on what the factors are."""
        if not self.describe(options, teacher):
            return ""
        ranks = sorted({rank for rank in (options.per_group or {}).values() if rank != WHOLE})
        rank = f"rank {' to '.join(map(str, dict.fromkeys((ranks[0], ranks[-1]))))}" if ranks else "lower rank"
        return f"Weight matrices are stored as two thin factors, of {rank}."


technique = LowRank()
