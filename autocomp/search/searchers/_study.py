"""The searcher: Optuna's ask and tell over the flat space, rebuilt from the journal, never asked twice for one student.

Optuna's study lives in memory; the journal is what lasts. Its multi-objective studies have no `report` or
`should_prune`, so rungs are ours (`rungs.py`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autocomp.plan import CompressionPlan

if TYPE_CHECKING:
    import optuna

    from autocomp.space import SearchSpace

ATTEMPTS = 40


class Searcher:
    """Proposes points; is told points with losses (everything minimised).

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
        from autocomp.search.searchers import searchers

        self.space, self.name = space, name
        self._identity = identity
        self._seen: set[str] = set()
        self._queue: list[dict[str, Any]] = []
        self._study = _new_study(losses, searchers[name](seed))
        self._distributions = _distributions(space)

    def enqueue(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Known good points, proposed before any other."""
        self._queue += [self.space.nearest(p) for p in points]

    def seen(self, identity: str) -> None:
        """A student that exists already."""
        self._seen.add(identity)

    def ask(self, plan_of: Callable[[Mapping[str, Any]], CompressionPlan]) -> tuple[dict[str, Any], str] | None:
        """A point of a new student and who proposed it; None when none is found (the space is spent)."""
        while self._queue:
            point = self._queue.pop(0)
            if self._is_new(plan_of(point)):
                return point, "start"
        for _ in range(ATTEMPTS):
            point = dict(self._study.ask(self._distributions).params)
            if self._is_new(plan_of(point)):
                return point, self.name
        return None

    def _is_new(self, plan: CompressionPlan) -> bool:
        identity = self._identity(plan)
        if identity in self._seen:
            return False
        self._seen.add(identity)
        return True

    def tell(self, point: Mapping[str, Any], losses: Sequence[float] | None) -> None:
        """A measured point; None for one that failed. Points outside an edited space teach nothing."""
        import optuna

        if not all(k in self.space.knobs and self.space.knobs[k].contains(v) for k, v in point.items()):
            return
        state = optuna.trial.TrialState.COMPLETE if losses is not None else optuna.trial.TrialState.FAIL
        values = [float(v) for v in losses] if losses is not None else None
        distributions = {k: d for k, d in self._distributions.items() if k in point}
        params = {k: point[k] for k in distributions}
        self._study.add_trial(
            optuna.trial.create_trial(params=params, distributions=distributions, values=values, state=state)
        )


def _new_study(losses: int, sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna.create_study(directions=["minimize"] * losses, sampler=sampler)


def _distributions(space: SearchSpace) -> dict[str, optuna.distributions.BaseDistribution]:
    """Every knob as a categorical choice: grids are short, uneven, and some are names."""
    import optuna

    return {name: optuna.distributions.CategoricalDistribution(knob.values) for name, knob in space.knobs.items()}
