"""What may vary? Knobs declared by techniques, narrowed or fixed by YAML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import numpy as np

from autocomp.errors import SpecError

Point = dict[str, Any]
"""A point of a search space: one value of each knob, by its dotted name `technique.option`."""


@dataclass(frozen=True)
class Knob:
    """One search dimension: an ordered grid of settled values (numbers), or a choice among names.

    A grid rather than a range: structured sizes must be multiples of what kernels like, and equal plans must
    have equal fingerprints so that nothing is trained twice.

    Attributes:
        values: the grid; of what compresses, the last compresses least.
        default: taken where a person names no value; the last one when None.
        is_fixed: whether the value stays whatever a search space asks for, because the teacher can have no other.
    """

    values: tuple[Any, ...]
    default: Any = None
    is_fixed: bool = False

    @property
    def usual(self) -> Any:
        """The default if it is still on the grid, else the last value."""
        return self.default if self.default is not None and self.contains(self.default) else self.values[-1]

    @property
    def is_numeric(self) -> bool:
        """Whether the values are ordered numbers."""
        return all(_is_number(v) for v in self.values)

    def contains(self, value: Any) -> bool:
        """Whether a value lies on the grid."""
        return any(value == v and isinstance(value, bool) == isinstance(v, bool) for v in self.values)

    def nearest(self, value: Any) -> Any:
        """The grid's value closest to one that need not lie on it."""
        if not self.is_numeric or not _is_number(value):
            return value if self.contains(value) else self.values[0]
        return min(self.values, key=lambda v: abs(v - value))

    def narrow(self, wanted: Any, source: str, key: str) -> Knob:
        """The part of the grid that a person wants: a list of values, `{min:, max:}`, or one fixed value.

        Numbers may lie between the grid's. Whatever the order they are given in, the last value of the result
        compresses least, and none occurs twice. A fixed knob stays as it is.

        Raises:
            SpecError: a value outside the knob, or nothing left.
        """
        if self.is_fixed:
            return self
        if isinstance(wanted, Mapping):
            return self._between(wanted, source, key)
        values = tuple(wanted) if isinstance(wanted, Sequence) and not isinstance(wanted, str) else (wanted,)
        for value in values:
            if not self._allows(value):
                raise SpecError(source, key, f"must be one of {self.describe()}", value)
        if not values:
            raise SpecError(source, key, "must list at least one value", wanted)
        return replace(self, values=self._ordered(values))

    def _allows(self, value: Any) -> bool:
        if self.is_numeric:
            return _is_number(value) and bool(min(self.values) <= value <= max(self.values))
        return self.contains(value)

    def _ordered(self, values: Sequence[Any]) -> tuple[Any, ...]:
        if self.is_numeric:
            return tuple(sorted(set(values), reverse=self.values[0] > self.values[-1]))
        return tuple(v for v in self.values if v in values)

    def _between(self, wanted: Mapping[str, object], source: str, key: str) -> Knob:
        unknown = set(wanted) - {"min", "max"}
        if unknown or not self.is_numeric:
            raise SpecError(source, key, "a mapping must have only `min` and `max`, of a numeric knob", dict(wanted))
        low, high = wanted.get("min", min(self.values)), wanted.get("max", max(self.values))
        if not _is_number(low) or not _is_number(high):
            raise SpecError(source, key, "`min` and `max` must be numbers", dict(wanted))
        kept = tuple(v for v in self.values if low <= v <= high)
        if not kept:
            raise SpecError(source, key, f"leaves none of {self.describe()}", dict(wanted))
        return replace(self, values=kept)

    def describe(self) -> str:
        """Short text for messages and `autocomp list`."""
        return ", ".join(map(str, self.values))


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class Condition:
    """When a knob is active: while the knob `of` has one of `values`. Otherwise it changes nothing."""

    of: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class SearchSpace:
    """The joint space: knobs by dotted name `technique.option`; a plan picks one value of each.

    Points that differ in inactive knobs alone are one point: in it, each inactive knob has the last value of its grid.

    Attributes:
        knobs: `{"depth.layers": Knob, …}` in declaration order.
        techniques: names of the techniques it uses, in stage order.
        conditions: of knobs that are not always active; one that they depend on has no condition itself.
    """

    knobs: Mapping[str, Knob] = field(default_factory=dict)
    techniques: tuple[str, ...] = ()
    conditions: Mapping[str, Condition] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of distinct points."""
        deciding = {condition.of for condition in self.conditions.values()}
        free = [len(k.values) for name, k in self.knobs.items() if name not in self.conditions and name not in deciding]
        return math.prod([*free, *(self._size_under(name) for name in deciding)])

    def _size_under(self, deciding: str) -> int:
        """Distinct points of a knob and all that depend on it."""
        depending = {name: c for name, c in self.conditions.items() if c.of == deciding}
        return sum(
            math.prod(len(self.knobs[name].values) for name, c in depending.items() if value in c.values)
            for value in self.knobs[deciding].values
        )

    def is_active(self, name: str, point: Point) -> bool:
        """Whether a knob changes anything at a point."""
        condition = self.conditions.get(name)
        return condition is None or point[condition.of] in condition.values

    def canonical(self, point: Point) -> Point:
        """The point with inactive knobs at the last value of their grids."""
        return {
            name: value if self.is_active(name, point) else self.knobs[name].values[-1] for name, value in point.items()
        }

    def sample(self, rng: np.random.Generator) -> Point:
        """One drawn point, `{knob: value}`: uniform over the values of each active knob."""
        return self.canonical(
            {name: knob.values[int(rng.integers(len(knob.values)))] for name, knob in self.knobs.items()}
        )

    def contains(self, point: Point) -> bool:
        """Whether a point names every knob with a value of its grid, inactive ones with their last."""
        is_on_grid = set(point) == set(self.knobs) and all(self.knobs[k].contains(v) for k, v in point.items())
        return is_on_grid and self.canonical(point) == point

    def nearest(self, point: Point) -> Point:
        """The space's point closest to `point`; knobs it lacks take their usual value."""
        return self.canonical({name: knob.nearest(point.get(name, knob.usual)) for name, knob in self.knobs.items()})
