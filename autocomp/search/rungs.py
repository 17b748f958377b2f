"""How deep: fidelities that grow threefold, and who earns the next one (ASHA, Li et al. 2018, arXiv:1810.05934).

Asynchronous, but with several objectives: a student is worth the hypervolume that the points of its sweep add to those
of all students at its rung; a student whose points all are dominated is worth nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autocomp import pareto
from autocomp.budget import Fidelity

REDUCTION = 3
RUNGS = 3


@dataclass(frozen=True)
class Finished:
    """A student that passed a rung: its identity, the rung, and the losses of its sweep `[k, m]`, minimised."""

    student: str
    rung: int
    losses: np.ndarray


def ladder(first_steps: int, batch: int = 32, rungs: int = RUNGS) -> tuple[Fidelity, ...]:
    """Fidelities of `first_steps` recovery steps and threefold more each."""
    return tuple(Fidelity(r, first_steps * REDUCTION**r, batch) for r in range(rungs))


def worth(finished: Sequence[Finished], reference: np.ndarray) -> dict[str, float]:
    """Hypervolume that each student alone adds to the others'."""
    losses = np.concatenate([f.losses for f in finished])
    owner = np.repeat([f.student for f in finished], [len(f.losses) for f in finished])
    on_front = pareto.is_non_dominated(losses)
    everything = pareto.hypervolume(losses[on_front], reference)
    found = {f.student: 0.0 for f in finished}
    for student in np.unique(owner[on_front]):
        others = losses[owner != student].reshape(-1, losses.shape[1])
        found[str(student)] = everything - pareto.hypervolume(others, reference)
    return found


def promotion(
    finished: Sequence[Finished], promoted: Mapping[int, set[str]], top: int, reference: np.ndarray
) -> tuple[str, int] | None:
    """The student to train on and its next rung, from the highest rung that owes a promotion; None if none does.

    A rung owes one promotion for each `REDUCTION` students that passed it.
    """
    for rung in range(top - 1, -1, -1):
        here = [f for f in finished if f.rung == rung]
        gone = promoted.get(rung, set())
        if len(here) // REDUCTION <= len(gone):
            continue
        values = worth(here, reference)
        left = [s for s in values if s not in gone and values[s] > 0]
        if left:
            return max(left, key=lambda s: (values[s], s)), rung + 1
    return None
