"""Who proposes? One file each: a function that makes an Optuna sampler; this file is the only door to Optuna.

The searcher is Optuna's ask and tell over the flat space, rebuilt from the journal, and never proposes one student
twice. Optuna's study lives in memory; the journal is what lasts. Its multi-objective studies have no `report` or
`should_prune`, so rungs are ours (`study/asha.py`).

A sampler looks at every point of its study for each proposal, and TPE at the hypervolumes of a tenth of them. So that
the ten-thousandth proposal takes no longer than the hundredth, a study that knows `2 * KNOWN` points is replaced by one
that knows `KNOWN`: the best, and of the others the latest (`benchmarks/README.md` says what was measured).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autocomp import pareto
from autocomp.plan import CompressionPlan
from autocomp.registry import Registry

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler

    from autocomp.space import Point, SearchSpace

searchers: Registry[Callable[[int], BaseSampler]] = Registry("searcher", "autocomp.searchers", "sampler")
ATTEMPTS = 40
"""Points around a proposal that are tried when its student exists already."""
KNOWN = 128
BEST = KNOWN // 4
"""How many of the points that a replaced study knows are there for being the best."""


class Searcher:
    """Proposes points, and learns from points with losses, all of which are minimised.

    Args:
        space: the flat joint space.
        losses: how many objectives.
        name: of the sampler, a file of this folder.
        seed: of every draw.
        identity: what makes two points one student, so that no student is trained twice.
    """

    def __init__(
        self, space: SearchSpace, losses: int, name: str, seed: int, identity: Callable[[CompressionPlan], str]
    ) -> None:

        self.space, self.name = space, name
        self._identity, self._losses = identity, losses
        self._seen: set[str] = set()
        self._distributions = _distributions(space)
        self._study = _new_study(losses, searchers[name](seed))
        self._observed: list[_Observation] = []
        self._open: dict[str, tuple[int, Point]] = {}
        self._points = 0
        self._rng = np.random.default_rng([seed, len(space.knobs)])

    def seen(self, identity: str) -> None:
        """Note that a student exists: what was measured of it comes by `tell`, and it is awaited no longer."""
        import optuna

        self._seen.add(identity)
        if identity in self._open:
            self._study.tell(self._open.pop(identity)[0], state=optuna.trial.TrialState.FAIL)

    def ask(self, plan_of: Callable[[Point], CompressionPlan]) -> Point | None:
        """A point of a new student; None where the space has none left."""
        trial = self._study.ask(self._distributions)
        self._points += 1
        for point in self._around(dict(trial.params)):
            if self._is_new(identity := self._identity(plan_of(point))):
                self._open[identity] = self._replace_proposal(trial, point), point
                return point
        return None

    def _around(self, point: Point) -> Iterator[Point]:
        """A point, then others that differ in ever more knobs: what is good is proposed again and again."""
        yield self.space.canonical(point)
        names = list(self.space.knobs)
        for attempt in range(ATTEMPTS):
            changed = self._rng.permutation(names)[: 1 + attempt * len(names) // ATTEMPTS]
            drawn = {k: v for k, v in self.space.sample(self._rng).items() if k in changed}
            yield self.space.canonical({**point, **drawn})

    def _replace_proposal(self, trial: optuna.Trial, point: Point) -> int:
        """Replace what the sampler proposed by what is measured now; returns the number of its trial."""
        from optuna.trial import TrialState

        if point == trial.params:
            return int(trial.number)
        self._study.tell(trial, state=TrialState.FAIL)
        self._study.add_trial(self._running(point))
        self._points += 1
        return int(trial.number) + 1

    def _is_new(self, identity: str) -> bool:
        if identity in self._seen:
            return False
        self._seen.add(identity)
        return True

    def tell(self, point: Point, losses: Sequence[float] | None) -> None:
        """Learn from a measured point; a failed one has no losses. Points outside an edited space teach nothing."""
        if not all(k in self.space.knobs and self.space.knobs[k].contains(v) for k, v in point.items()):
            return
        observed = _Observation(dict(point), None if losses is None else tuple(float(v) for v in losses))
        self._observed.append(observed)
        self._points += 1
        self._study.add_trial(self._trial(observed))
        if self._points >= 2 * KNOWN + len(self._open):
            self._shrink()

    def _trial(self, observed: _Observation) -> optuna.trial.FrozenTrial:
        from optuna.trial import TrialState, create_trial

        distributions = {k: d for k, d in self._distributions.items() if k in observed.point}
        params = {k: observed.point[k] for k in distributions}
        state = TrialState.FAIL if observed.losses is None else TrialState.COMPLETE
        return create_trial(params=params, distributions=distributions, values=observed.losses, state=state)

    def _running(self, point: Point) -> optuna.trial.FrozenTrial:
        from optuna.trial import TrialState, create_trial

        return create_trial(params=dict(point), distributions=self._distributions, state=TrialState.RUNNING)

    def _shrink(self) -> None:
        """Replace the study by one that knows fewer points and awaits the same students."""
        self._observed = _most_informative([t for t in self._observed if t.losses is not None])
        self._study = _new_study(self._losses, self._study.sampler)
        self._study.add_trials([self._trial(observed) for observed in self._observed])
        for number, (identity, (_, point)) in enumerate(self._open.items(), len(self._observed)):
            self._study.add_trial(self._running(point))
            self._open[identity] = number, point
        self._points = len(self._observed) + len(self._open)


@dataclass(frozen=True)
class _Observation:
    """A point and its losses; None where it failed."""

    point: Point
    losses: tuple[float, ...] | None


def _most_informative(observed: list[_Observation]) -> list[_Observation]:
    """At most `KNOWN` observations: the best, and of the others the latest; the order is kept."""
    if len(observed) <= KNOWN:
        return observed
    losses = np.array([t.losses for t in observed])
    rank = pareto.ranks(losses)
    best: list[int] = []
    for level in range(rank.max() + 1):
        rows = np.flatnonzero(rank == level)
        best += [int(rows[i]) for i in pareto.thin(losses[rows], BEST - len(best))]
        if len(best) >= BEST:
            break
    others = [i for i in range(len(observed)) if i not in set(best)]
    return [observed[i] for i in sorted([*best, *others[-(KNOWN - len(best)) :]])]


def _new_study(losses: int, sampler: BaseSampler) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna.create_study(directions=["minimize"] * losses, sampler=sampler)


def _distributions(space: SearchSpace) -> dict[str, optuna.distributions.BaseDistribution]:
    """Every knob as a choice: grids are short, uneven, and some hold names."""
    from autocomp.searchers._choice import Choice

    return {name: Choice(knob.values) for name, knob in space.knobs.items()}
