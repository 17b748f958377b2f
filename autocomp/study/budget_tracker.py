"""The ledger at work: every second since the start is charged once, and what is left becomes a deadline."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from autocomp.budget import LOST, Budget, Charge, Cost, held
from autocomp.journal.events import ResourcesCharged

if TYPE_CHECKING:
    from autocomp.journal import Journal


@dataclass(frozen=True)
class Held:
    """What a job holds since a time."""

    since: float
    cores: float
    gpus: float

    def cost(self, now: float) -> Cost:
        """The cost of holding them until now."""
        return held(now - self.since, self.cores, self.gpus)


class BudgetTracker:
    """Books charges in the journal and says how much is left.

    Args:
        budget: of the study.
        journal: charges already there are taken over.
        cores, gpus: held by this study while it runs, by all its jobs together.
    """

    def __init__(self, budget: Budget, journal: Journal, cores: int, gpus: float = 0.0) -> None:
        self.budget, self.cores, self.gpus = budget, cores, gpus
        self._journal = journal
        self._held: dict[str, Held] = {}
        self.spent = Cost()
        for event in journal.events(ResourcesCharged):
            self.spent += event.charge.cost
        self._since = time.time()

    def began(self, job: str, cores: float, gpus: float) -> None:
        """From now on a job holds these, until it is charged."""
        self._held[job] = Held(time.time(), cores, gpus)

    def charge(self, what: str, *, gpus: float = 0.0) -> None:
        """Book the clock since the last charge, for all cores, and for some GPUs."""
        clock = self._clock()
        self._book(what, clock + held(clock.wall_s, self.cores, gpus))

    def charge_job(self, job: str, what: str, cost: Cost) -> None:
        """Book the clock since the last charge, and what a job held that has ended.

        The clock runs once, however many jobs run side by side.
        """
        self._held.pop(job, None)
        self._book(what, self._clock() + cost + Cost(trials=1), job)

    def charge_part(self, job: str, what: str, cost: Cost) -> None:
        """Book the clock, and what a part of a job held that goes on without a GPU."""
        self._goes_on(job, gpus=0.0)
        self._book(what, self._clock() + cost)

    def charge_attempt(self, job: str, cost: Cost) -> None:
        """Book the clock, and what an attempt at a job held that brought nothing; the job may go on."""
        self._goes_on(job)
        self._book(LOST, self._clock() + cost)

    def _goes_on(self, job: str, **changed: float) -> None:
        """A job that has been charged holds what it holds from now on."""
        if job in self._held:
            self._held[job] = replace(self._held[job], since=time.time(), **changed)

    def _clock(self) -> Cost:
        """The clock time since the last charge."""
        now = time.time()
        wall, self._since = now - self._since, now
        return Cost(wall_s=wall)

    def charge_lost(self, run: Path, since: float, last: float) -> None:
        """Book what an interrupted study held since its last charge, until it last showed life.

        Args:
            run: its folder; the progress files of its jobs are signs of life.
            since: when the clock was last charged, seconds since 1970.
            last: when its last event was written.
        """
        alive = max([last, *(f.stat().st_mtime for f in (run / "work").glob("*.json"))])
        lost = max(0.0, alive - since)
        self._book(LOST, Cost(wall_s=lost) + held(lost, self.cores, self.gpus))
        self._since = time.time()

    def _book(self, what: str, cost: Cost, job: str | None = None) -> None:
        charge = Charge(what, cost.rounded())
        self.spent += charge.cost
        self._journal.append(ResourcesCharged(charge=charge, job=job))

    def seconds_left(self, reserve_s: float = 0.0) -> float:
        """Clock time for training until the first limit is reached at the present rate; infinite without one.

        Args:
            reserve_s: clock time that is kept for the front, which needs no GPU.
        """
        return max(0.0, min(self.clock_left() - reserve_s, self.gpu_left()))

    def gpu_left(self) -> float:
        """Clock time until the limit of GPU time is reached at the present rate; infinite without one."""
        gpu_s = self._left("gpu_s") - self._uncharged().gpu_s
        return max(0.0, gpu_s / self.gpus) if self.gpus else math.inf

    def clock_left(self) -> float:
        """Clock time until the limit of the clock or of core time is reached; infinite without one."""
        wall_s = self._left("wall_s") - (time.time() - self._since)
        cpu_s = self._left("cpu_s") - self._uncharged().cpu_s
        return max(0.0, min(wall_s, cpu_s / max(1, self.cores)))

    def _left(self, kind: str) -> float:
        """What is left of a limit; infinite where the budget has none."""
        return self.spent.left(self.budget).get(kind, math.inf)

    def _uncharged(self) -> Cost:
        """The cost of what is held and not charged: by running jobs or, while there are none, by the study itself."""
        holders = self._held.values() or [Held(self._since, self.cores, self.gpus)]
        return sum((one.cost(time.time()) for one in holders), Cost())

    def trials_left(self) -> float:
        """Trials that may still be finished; infinite without a limit."""
        return self._left("trials")
