"""How much may a study spend, and how seriously is one trial taken?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from autocomp.errors import BudgetError

_UNITS = {"s sec second": 1, "m min minute": 60, "h hour": 3600, "d day": 86400}
_SECONDS = {name: seconds for names, seconds in _UNITS.items() for name in names.split()}
_PART = re.compile(r"^(?P<amount>\d+(?:\.\d+)?)\s*(?:(?P<resource>gpu|cpu)-?)?(?P<unit>[a-z]+)$")
RULE = "a budget is like 8gpu-hours, 20cpu-minutes, 45m, 2h, 40trials, or several joined by a comma"


LOST = "lost"
"""What a charge is for that brought nothing: an attempt that died, or what an interrupted study held."""


@dataclass(frozen=True)
class Budget:
    """What the whole study may spend; None is no limit of that kind.

    `gpu_s` and `cpu_s` count resources held times seconds, over all workers; `wall_s` is the clock.
    """

    wall_s: float | None = None
    gpu_s: float | None = None
    cpu_s: float | None = None
    trials: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return asdict(self)

    def __str__(self) -> str:
        parts = [(self.gpu_s, "gpu-"), (self.cpu_s, "cpu-"), (self.wall_s, "")]
        times = [f"{seconds / 60:g}{prefix}minutes" for seconds, prefix in parts if seconds is not None]
        return ",".join([*times, *([f"{self.trials}trials"] if self.trials is not None else [])])


def parse_budget(text: str) -> Budget:
    """A budget from what a person typed.

    Raises:
        BudgetError: not of the form, zero, or one kind named twice.
    """
    found: dict[str, float] = {}
    for part in str(text).lower().split(","):
        key, amount = _parse_part(part.strip(), text)
        if key in found:
            raise BudgetError(f"{RULE}; {text!r} names {key} twice")
        found[key] = amount
    trials = found.pop("trials", None)
    return Budget(**found, trials=None if trials is None else int(trials))


def _parse_part(part: str, text: str) -> tuple[str, float]:
    match = _PART.match(part)
    if not match:
        raise BudgetError(f"{RULE}; got {text!r}")
    amount, resource, unit = float(match["amount"]), match["resource"], match["unit"]
    if amount <= 0:
        raise BudgetError(f"a budget must be more than nothing; got {text!r}")
    if unit in ("trial", "trials") and not resource:
        if amount != int(amount):
            raise BudgetError(f"a number of trials must be whole; got {text!r}")
        return "trials", amount
    # `hours` but not `ms`: milliseconds must not pass for minutes.
    seconds = _SECONDS.get(unit.removesuffix("s") if len(unit) > 2 else unit)
    if seconds is None:
        raise BudgetError(f"{RULE}; got {text!r}")
    return {"gpu": "gpu_s", "cpu": "cpu_s", None: "wall_s"}[resource], amount * seconds


@dataclass(frozen=True)
class Fidelity:
    """How seriously one trial is taken.

    Attributes:
        rung: 0, 1, … ; -1 is post-training (no recovery at all).
        steps: recovery steps in all, earlier rungs counted in.
        batch: texts a step.
    """

    rung: int
    steps: int
    batch: int = 32

    def to_json(self) -> dict[str, int]:
        """Plain numbers."""
        return asdict(self)


POST_TRAINING = Fidelity(rung=-1, steps=0)


@dataclass(frozen=True)
class Cost:
    """What something took; costs add, those of jobs that ran side by side too.

    Attributes:
        wall_s: clock time that passed for the study as a whole, no matter how many jobs ran in it.
        cpu_s: cores held times seconds.
        gpu_s: GPUs, or shares of one, held times seconds.
        trials: finished trials.
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0
    gpu_s: float = 0.0
    trials: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.wall_s + other.wall_s,
            self.cpu_s + other.cpu_s,
            self.gpu_s + other.gpu_s,
            self.trials + other.trials,
        )

    def rounded(self) -> Cost:
        """The same to the millisecond, as the journal has it."""
        return Cost(round(self.wall_s, 3), round(self.cpu_s, 3), round(self.gpu_s, 3), self.trials)

    def left(self, budget: Budget) -> dict[str, float]:
        """What a budget has left of each limited kind after this was spent, never below zero."""
        spent = asdict(self)
        limits = {k: v for k, v in budget.to_json().items() if v is not None}
        return {kind: max(0.0, limit - spent[kind]) for kind, limit in limits.items()}


_PARTS = tuple(asdict(Cost()))


def held(seconds: float, cores: float, gpus: float = 0.0) -> Cost:
    """What it costs to hold cores and GPUs (or shares of one) for some seconds, beside the clock."""
    return Cost(cpu_s=seconds * cores, gpu_s=seconds * gpus)


@dataclass(frozen=True)
class Charge:
    """One line of the ledger.

    Attributes:
        what: it was spent for: `teacher`, `trial`, `measuring`, `front`, `lost` (held when the study was interrupted) …
        cost: what it took.
    """

    what: str
    cost: Cost

    def to_json(self) -> dict[str, Any]:
        """Plain data, the cost's parts beside the purpose; inverse of `from_json`."""
        return {"what": self.what, **asdict(self.cost)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Charge:
        """Inverse of `to_json`; parts that a journal of another version has or lacks do not matter."""
        return cls(data["what"], Cost(**{part: data[part] for part in _PARTS if part in data}))
