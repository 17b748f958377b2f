"""What every technique is: options with knobs, a stage, and calls before, during and after recovery training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from autocomp.architectures import DEFAULT
from autocomp.errors import InfeasiblePlan, SpecError
from autocomp.plan import Options as PlanOptions
from autocomp.space import Knob

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student
    from autocomp.training.hooks import Hook


class Stage(IntEnum):
    """The one fixed order of compound compression; a plan's steps are sorted by it."""

    ARCHITECTURE = 5
    VOCABULARY = 10
    DEPTH = 20
    SHARING = 25
    WIDTH = 30
    HIDDEN = 35
    RANK = 37
    TOKENS = 38
    RECOVERY = 40
    SPARSITY = 60
    NUMERICS = 70
    EXITS = 80


class Options(BaseModel):
    """Settled options of one technique: frozen, unknown keys refused, defaults change nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


ANY_ARCHITECTURE: frozenset[str] = frozenset()
"""As the `architectures` of a technique: those of every kind of student."""
OptionsT = TypeVar("OptionsT", bound=Options)


@dataclass(frozen=True)
class Context:
    """What techniques may know besides the student.

    Attributes:
        importance: of the teacher's parts, by `heads.<depth>`, `feed_forward.<depth>`, `hidden`.
        pieces: how often each piece of the teacher's tokenizer occurs in the training texts.
        sensitivity: `{weight group: {bits: error}}` of the student that is being converted.
        rng: every random draw comes from here.
    """

    importance: Mapping[str, np.ndarray] = field(default_factory=dict)
    pieces: Mapping[str, int] = field(default_factory=dict)
    sensitivity: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))


@dataclass(frozen=True)
class PlannedModel:
    """A model as far as a plan's settled options say, before any of it is built or measured.

    Attributes:
        shape: of its encoder.
        origin: the teacher's layer that each of its layers descends from, from 0.
        bits: of a stored linear weight by group; groups that are not named have those of `""`.
        zeros: fraction of a group's linear weights that are zero, named alike.
        numbers: the number system of linear weights; None while nobody chose one.
        embedding_bits: of a number of the word table.
        exit: rule and threshold by which a text may leave early; None where none may.
    """

    shape: EncoderShape
    origin: tuple[int, ...]
    bits: Mapping[str, float] = field(default_factory=lambda: {"": 32})
    zeros: Mapping[str, float] = field(default_factory=lambda: {"": 0.0})
    numbers: str | None = None
    embedding_bits: int = 32
    exit: tuple[str, float] | None = None


class Technique(Generic[OptionsT]):
    """A label on plain functions that do the work.

    `prepare` runs before recovery training, `training` gives a hook that acts during it, `convert` runs after it; a
    technique overrides what it needs. Techniques that only `convert` are cheap: every recovered student is swept over
    them without training.

    Attributes:
        summary: one line for `autocomp list`.
        paper: where it comes from.
        stage: when it runs.
        touches: parts of the model it claims; two techniques conflict only if they claim the same part.
        architectures: whose students it can change, by their names; `ANY_ARCHITECTURE` for all.
        Options: its options' class.
    """

    summary: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    stage: ClassVar[Stage]
    touches: ClassVar[frozenset[str]] = frozenset()
    architectures: ClassVar[frozenset[str]] = frozenset({DEFAULT})
    Options: ClassVar[type[Options]]

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """What may vary for a teacher of this shape, `{option: Knob}`; the last value compresses least."""
        raise NotImplementedError

    def applies(self, architecture: str, option: str = "") -> bool:
        """Whether it, or one of its options, means something for students of an architecture.

        Default: for those that `architectures` names, with all options.
        """
        return not self.architectures or architecture in self.architectures

    def knobs_for(self, shape: EncoderShape, wanted: PlanOptions) -> dict[str, Knob]:
        """The knobs if a space asks for `wanted` of this technique: one choice may decide which others there are.

        Default: `knobs`, whatever is wanted.
        """
        return self.knobs(shape)

    def settle(self, student: Student, options: OptionsT, context: Context) -> OptionsT:
        """Options with every relative value made explicit for this student (`kept 0.5` to heads per layer)."""
        return options

    def prepare(self, student: Student, options: OptionsT, context: Context) -> Student:
        """The student with the change made, before recovery. Default: unchanged."""
        return student

    def training(self, student: Student, options: OptionsT, context: Context) -> Hook | None:
        """What acts while this student is trained, told its settled options. Default: nothing.

        A student that no study trains (`post_training`) never meets its hook, so `convert` must leave it complete
        either way.
        """
        return None

    def convert(self, student: Student, options: OptionsT, context: Context) -> Student:
        """The student with the change made, after recovery. Default: unchanged."""
        return student

    def planned(self, model: PlannedModel, options: OptionsT) -> PlannedModel:
        """The model as these settled options leave it, for reports on candidates without files. Default: unchanged."""
        return model

    def describe(self, options: OptionsT, teacher: EncoderShape) -> str:
        """A few plain words, empty when nothing changes."""
        return ""

    def explain(self, options: OptionsT, teacher: EncoderShape) -> str:
        """A sentence or two for a model's card, empty when nothing changes. Default: the words of `describe`."""
        words = self.describe(options, teacher)
        return f"{words[0].upper()}{words[1:]}." if words else ""

    @property
    def trains(self) -> bool:
        """Whether it may act during recovery."""
        return type(self).training is not Technique.training

    @property
    def is_cheap(self) -> bool:
        """Whether it only acts after recovery, so that it can be swept.

        All others decide what is trained, and are part of what makes a student the one that it is.
        """
        prepares = type(self).prepare is not Technique.prepare
        return self.stage > Stage.RECOVERY and not prepares and not self.trains

    def parse(self, options: PlanOptions, source: str = "plan", name: str = "") -> OptionsT:
        """Checked options.

        Raises:
            SpecError: an unknown option or a value of a wrong type or range.
        """
        try:
            return self.Options(**options)  # type: ignore[return-value]
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join([name, *map(str, first["loc"])])
            raise SpecError(source, key, first["msg"], first.get("input")) from error


def listed(items: Sequence[object]) -> str:
    """`2, 3 and 5`."""
    words = [f"{i:,}" if isinstance(i, int) else str(i) for i in items]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def kept_words(counts: Sequence[int], full: int, what: str) -> str:
    """A sentence on what is left of each layer, the lowest first."""
    if len(set(counts)) == 1:
        return f"Every layer keeps {counts[0]:,} of {full:,} {what}, the most important ones."
    return f"Its layers keep {listed(counts)} of {full:,} {what}, the most important ones (lowest layer first)."


def kept_counts(scores: list[np.ndarray], kept: float, allocation: str, multiple: int) -> tuple[int, ...]:
    """How many parts each layer keeps so that a fraction of all remains.

    Args:
        scores: per layer, `[parts]` importance.
        kept: fraction of all parts to keep, 0..1.
        allocation: `uniform`, the same fraction in every layer; `importance`, the globally best parts after
            dividing by each layer's mean (Michel et al. 2019, arXiv:1905.10650).
        multiple: counts are rounded to it, and never below it (or the layer's size).
    """
    sizes = [len(s) for s in scores]
    wanted = [kept * n for n in sizes] if allocation == "uniform" else _globally_best(scores, kept)
    return tuple(rounded(w, n, multiple) for w, n in zip(wanted, sizes, strict=True))


def _globally_best(scores: list[np.ndarray], kept: float) -> list[float]:
    """How many of each layer's parts are among the best of all; equal ones are shared out evenly over the layers."""
    sizes = [len(s) for s in scores]
    scaled = np.concatenate([s / max(float(np.mean(s)), 1e-30) for s in scores])
    place = np.concatenate([np.argsort(np.argsort(-s, kind="stable")) / len(s) for s in scores])
    chosen = np.lexsort((place, -scaled))[: max(1, round(kept * sum(sizes)))]
    layers = np.repeat(np.arange(len(scores)), sizes)[chosen]
    return [float(n) for n in np.bincount(layers, minlength=len(scores))]


def rounded(wanted: float, size: int, multiple: int) -> int:
    """The multiple nearest to a wanted count, at least one and at most all of `size`, which need not be a multiple."""
    if wanted >= size:
        return size
    return min(size, max(multiple, multiple * round(wanted / multiple)))


def check_groups(student: Student, per_group: Mapping[str, object], technique: str) -> None:
    """Make sure that a value is given for each group of the student's linear weights and for nothing else.

    Raises:
        InfeasiblePlan: a group is missing or unknown.
    """
    from autocomp.models.linears import linear_groups

    groups = set(linear_groups(student.encoder.shape))
    if set(per_group) != groups:
        missing, unknown = sorted(groups - set(per_group)), sorted(set(per_group) - groups)
        raise InfeasiblePlan(f"{technique}.per_group must name each group once; missing {missing}, unknown {unknown}")


def best(scores: np.ndarray, count: int) -> list[int]:
    """Indices of the `count` highest scores, ascending; ties go to the lower index."""
    return sorted(np.argsort(-scores, kind="stable")[:count].tolist())
