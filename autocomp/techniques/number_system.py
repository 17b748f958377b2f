"""What the codes of the linear weights stand for: integers with coarser or finer scales, a codebook, small floats.

One setting for all linears, in place of `linear_bits`. Whatever is stored, the file multiplies in int8 (16 bits: FP32).
A codebook of 3 bits with 0.1 % outliers is GOBO (Zadeh et al. 2020, arXiv:2005.03842), integers in groups of 128 are
Q-BERT's (Shen et al. 2020, arXiv:1909.05840), `adaptivfloat` is EdgeBERT's (Tambe et al. 2020, arXiv:2011.14203).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator, model_validator

from autocomp.space import Knob
from autocomp.techniques._base import ANY_ARCHITECTURE, Context, Options, PlannedModel, Stage, Technique

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.formats import WeightFormat
    from autocomp.models.student import Student


class NumberSystemOptions(Options):
    """`scales` (of integers): one a `row`, one a `matrix`, or one for as many neighbours; `outliers` stay in FP32.

    With `weight_only` linears compute in FP32, at the size of the bits but not at int8's speed.
    """

    bits: Literal[2, 3, 4, 5, 6, 7, 8, 16, 32] = 32
    numbers: str = "integer"
    scales: Literal["row", "matrix"] | int = "row"
    outliers: float = Field(default=0.0, ge=0, le=0.1)
    weight_only: bool = False

    @field_validator("numbers")
    @classmethod
    def _is_known(cls, name: str) -> str:
        from autocomp.formats.numbers import number_systems

        if name not in number_systems:
            raise ValueError(f"must be one of {', '.join(number_systems)}")
        return name

    @field_validator("scales")
    @classmethod
    def _is_a_group(cls, scales: str | int) -> str | int:
        if isinstance(scales, int) and scales < 2:
            raise ValueError("a group has at least 2 weights")
        return scales

    @model_validator(mode="after")
    def _has_such_codes(self) -> NumberSystemOptions:
        from autocomp.formats.numbers import number_systems

        if self.bits != 32 and self.bits not in number_systems[self.numbers].widths(False):
            known = ", ".join(map(str, number_systems[self.numbers].widths(False)))
            raise ValueError(f"{self.numbers} codes have {known} bits, not {self.bits}")
        return self


def format_of(options: NumberSystemOptions) -> WeightFormat:
    """How each linear weight is stored."""
    from autocomp.formats import WeightFormat

    group = {"row": None, "matrix": 0}.get(str(options.scales), options.scales)
    return WeightFormat(
        bits=options.bits,
        numbers=options.numbers,
        group=group if isinstance(group, int) and options.numbers == "integer" else None,
        outliers=options.outliers,
        weight_only=options.weight_only,
    )


class NumberSystem(Technique[NumberSystemOptions]):
    """The technique that chooses what the codes of linear weights stand for."""

    summary = "what the codes of linear weights stand for: group scales, k-means codebook with outliers, small floats"
    paper = "Zadeh et al. 2020 (GOBO), arXiv:2005.03842; Tambe et al. 2020 (EdgeBERT), arXiv:2011.14203"
    stage = Stage.NUMERICS
    touches = frozenset({"linears.format"})
    architectures = ANY_ARCHITECTURE
    Options = NumberSystemOptions

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """Few bits, coarse and fine scales, GOBO's outliers or none."""
        return {
            "bits": Knob((3, 32)),
            "numbers": Knob(("codebook", "levels", "adaptivfloat", "integer")),
            "scales": Knob(("matrix", 64, "row"), default="row"),
            "outliers": Knob((0.0, 0.001), default=0.0),
        }

    def settle(self, student: Student, options: NumberSystemOptions, context: Context) -> NumberSystemOptions:
        """Options without what does not apply: only integers have scales, and FP32 has no outliers either."""
        if options.bits == 32:
            return NumberSystemOptions()
        return options if options.numbers == "integer" else options.model_copy(update={"scales": "row"})

    def convert(self, student: Student, options: NumberSystemOptions, context: Context) -> Student:
        """Set the weights' format; sparse ones stay sparse."""
        from autocomp.formats import FLOAT32
        from autocomp.models.linears import linear_groups

        if options.bits == 32:
            return student
        names = [name for group in linear_groups(student.encoder.shape).values() for name in group]
        kept = {n: student.formats.get(n, FLOAT32) for n in names}
        formats = {n: replace(format_of(options), sparse=f.sparse) for n, f in kept.items()}
        return replace(student, formats={**student.formats, **formats})

    def planned(self, model: PlannedModel, options: NumberSystemOptions) -> PlannedModel:
        """One number system and as many bits everywhere."""
        return replace(model, bits={"": options.bits}, numbers=options.numbers)

    def describe(self, options: NumberSystemOptions, teacher: EncoderShape) -> str:
        """`3-bit codebook linears, 0.1 % outliers`."""
        if options.bits == 32:
            return ""
        scaled = f", a scale a {options.scales}" if options.scales == "matrix" else f", groups of {options.scales}"
        scales = scaled if options.numbers == "integer" and options.scales != "row" else ""
        outliers = f", {options.outliers:.1%} outliers".replace("%", " %") if options.outliers else ""
        computed = ", computed in FP32" if options.weight_only else ""
        return f"{options.bits}-bit {options.numbers} linears{scales}{outliers}{computed}"

    def explain(self, options: NumberSystemOptions, teacher: EncoderShape) -> str:
        """A sentence on the bits of a weight and what its codes stand for."""
        if options.bits == 32:
            return ""
        outliers = f" The largest {100 * options.outliers:g} % stay in FP32." if options.outliers else ""
        computed = " They are computed with in FP32, so this saves bytes and no time." if options.weight_only else ""
        system = {"integer": "whole numbers with a scale", "codebook": "entries of a codebook fitted to each matrix"}
        stands = system.get(options.numbers, f"numbers of the system {options.numbers}")
        return f"Weights of the linear layers take {options.bits} bits each: {stands}.{outliers}{computed}"


technique = NumberSystem()
