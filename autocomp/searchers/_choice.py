"""A knob as Optuna sees it."""

from __future__ import annotations

from typing import Any

from optuna.distributions import CategoricalDistribution


class Choice(CategoricalDistribution):  # type: ignore[misc]  # Optuna is not typed
    """A knob as Optuna sees it: one of a grid's values.

    Optuna copies and compares the knobs of all trials for every proposal, which took most of its time.
    """

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Choice) and self.choices == other.choices)

    def __hash__(self) -> int:
        return hash(self.choices)

    def __copy__(self) -> Choice:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Choice:
        return self
