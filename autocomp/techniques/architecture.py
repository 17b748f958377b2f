"""What a student is made of: the teacher's layers, or something else that starts from its word vectors.

A plan that names an architecture has no steps of techniques that its students cannot have.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, create_model, field_validator

from autocomp.architectures import DEFAULT, architectures
from autocomp.plan import Options as PlanOptions
from autocomp.space import Knob
from autocomp.techniques._base import ANY_ARCHITECTURE, Context, Options, PlannedModel, Stage, Technique

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student


class ArchitectureOptions(Options):
    """`kind`: a name of `autocomp.architectures`; all others are sizes that some architecture asks for by name."""

    kind: str = DEFAULT

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        if kind not in architectures:
            raise ValueError(f"must be one of {', '.join(architectures)}")
        return kind

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes that are given."""
        return {name: value for name, value in self.model_dump(exclude={"kind"}).items() if value is not None}


def with_sizes() -> type[ArchitectureOptions]:
    """The options, with every size that an architecture has: a whole number, or None where nobody chose it."""
    names = {option for name in architectures for option in architectures[name].options}
    size: Any = (Annotated[int, Field(ge=0)] | None, None)
    return create_model("ArchitectureOptions", __base__=ArchitectureOptions, **dict.fromkeys(sorted(names), size))


class Architecture(Technique[ArchitectureOptions]):
    """The technique that says what a student is made of."""

    summary = "what a student is made of: the teacher's layers, or none of them (static)"
    paper = "Joulin et al. 2017 (fastText), arXiv:1607.01759"
    stage = Stage.ARCHITECTURE
    touches = frozenset({"architecture"})
    architectures = ANY_ARCHITECTURE
    Options = with_sizes()

    def applies(self, architecture: str, option: str = "") -> bool:
        """To every student, each architecture with the sizes that it asks for."""
        return option in ("", "kind") or option in architectures[architecture].options

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """The architectures, and all sizes of each."""
        return self.knobs_for(shape, {})

    def knobs_for(self, shape: EncoderShape, wanted: PlanOptions) -> dict[str, Knob]:
        """The architectures, and the sizes of those that a space asks for."""
        kind = Knob((*(name for name in architectures if name != DEFAULT), DEFAULT))
        asked = wanted.get("kind", kind.values)
        names = [asked] if isinstance(asked, str) else [name for name in kind.values if name in asked]
        sizes: dict[str, set[int]] = {}
        for name in names if all(kind.contains(name) for name in names) else ():
            for option, knob in architectures[name].knobs(shape).items():
                sizes.setdefault(option, set()).update(knob.values)
        return {"kind": kind, **{option: Knob(tuple(sorted(values))) for option, values in sizes.items()}}

    def settle(self, student: Student, options: ArchitectureOptions, context: Context) -> ArchitectureOptions:
        """Name every size of the architecture, and none that only others have."""
        if options.kind == student.encoder.shape.architecture:
            return self.parse({"kind": options.kind})
        return self.parse({"kind": options.kind, **self._sizes(options, student.encoder.shape)})

    def _sizes(self, options: ArchitectureOptions, teacher: EncoderShape) -> dict[str, int]:
        knobs = architectures[options.kind].knobs(teacher)
        return {name: options.sizes.get(name, knob.usual) for name, knob in knobs.items()}

    def prepare(self, student: Student, options: ArchitectureOptions, context: Context) -> Student:
        """A student of the architecture, begun from the teacher's weights."""
        from autocomp.models.encoder import encoder_like, plain_weights

        teacher = student.encoder
        if options.kind == teacher.shape.architecture:
            return student
        architecture = architectures[options.kind]
        shape = architecture.shape(teacher.shape, self._sizes(options, teacher.shape))
        weights = architecture.weights(shape, plain_weights(teacher), _counts(student, context), context.rng)
        return replace(student, encoder=encoder_like(teacher, shape, weights), origin=())

    def planned(self, model: PlannedModel, options: ArchitectureOptions) -> PlannedModel:
        """The architecture's shape; none of its layers descends from one of the teacher's."""
        if options.kind == model.shape.architecture:
            return model
        shape = architectures[options.kind].shape(model.shape, self._sizes(options, model.shape))
        return replace(model, shape=shape, origin=())

    def describe(self, options: ArchitectureOptions, teacher: EncoderShape) -> str:
        """`no layers, 128 dimensions, 32,768 rows for word pairs`."""
        if options.kind == teacher.architecture:
            return ""
        return architectures[options.kind].describe(self._sizes(options, teacher))

    def explain(self, options: ArchitectureOptions, teacher: EncoderShape) -> str:
        """A sentence on what takes the place of the teacher's layers, and its sizes."""
        words = self.describe(options, teacher)
        return words and f"It is no {teacher.architecture} but {architectures[options.kind].summary}: {words}."


def _counts(student: Student, context: Context) -> np.ndarray:
    """How often each piece occurs in the training texts, `[V]`; special ones like the most frequent."""
    vocabulary = student.tokenizer.get_vocab()
    counts = np.zeros(student.encoder.shape.vocabulary)
    for piece, count in context.pieces.items():
        if piece in vocabulary:
            counts[vocabulary[piece]] = count
    special = [number for number, token in student.tokenizer.get_added_tokens_decoder().items() if token.special]
    counts[special] = counts.max()
    return counts


technique = Architecture()
