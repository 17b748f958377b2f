"""The ledger at work: every second since the start is charged once, and what is left becomes a deadline."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from autocomp.budget import LOST, Budget, Charge, Ledger

if TYPE_CHECKING:
    from autocomp.record import Journal


@dataclass(frozen=True)
class Held:
    """What a job holds since a time."""

    since: float
    cores: float
    gpus: float


def charge_of(what: str, wall_s: float, cpu_s: float, gpu_s: float, trials: int = 0) -> Charge:
    """To the millisecond."""
    return Charge(what, round(wall_s, 3), round(cpu_s, 3), round(gpu_s, 3), trials)


class Purse:
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
        self.ledger = Ledger()
        for event in journal.events("charge"):
            self.ledger.add(Charge(**event["charge"]))
        self._since = time.time()

    def began(self, job: str, cores: float, gpus: float) -> None:
        """From now on a job holds these, until it is charged."""
        self._held[job] = Held(time.time(), cores, gpus)

    def charge(self, what: str, *, gpus: float = 0.0) -> None:
        """Book the clock since the last charge, for all cores, and for some GPUs."""
        wall = self._clock()
        self._book(charge_of(what, wall, wall * self.cores, wall * gpus))

    def charge_job(self, job: str, what: str, cpu_s: float, gpu_s: float = 0.0) -> None:
        """Book the clock since the last charge, and what a job held that has ended.

        The clock runs once, however many jobs run side by side.

        Args:
            cpu_s, gpu_s: cores and GPUs times seconds.
        """
        self._held.pop(job, None)
        self._book(charge_of(what, self._clock(), cpu_s, gpu_s, trials=1), job)

    def charge_part(self, job: str, what: str, cpu_s: float, gpu_s: float = 0.0) -> None:
        """The same of a part of a job that goes on, without a GPU."""
        self._goes_on(job, gpus=0.0)
        self._book(charge_of(what, self._clock(), cpu_s, gpu_s))

    def charge_attempt(self, job: str, cpu_s: float, gpu_s: float = 0.0) -> None:
        """The same of an attempt at a job that brought nothing; the job may go on."""
        self._goes_on(job)
        self._book(charge_of(LOST, self._clock(), cpu_s, gpu_s))

    def _goes_on(self, job: str, **changed: float) -> None:
        """What it held until now is charged."""
        if job in self._held:
            self._held[job] = replace(self._held[job], since=time.time(), **changed)

    def _clock(self) -> float:
        """Seconds since the last charge."""
        now = time.time()
        wall, self._since = now - self._since, now
        return wall

    def charge_lost(self, run: Path, since: float, last: float) -> None:
        """Book what an interrupted study held since its last charge, until it last showed life.

        Args:
            run: its folder; the progress files of its jobs are signs of life.
            since: when the clock was last charged, seconds since 1970.
            last: when its last event was written.
        """
        alive = max([last, *(f.stat().st_mtime for f in (run / "work").glob("*.json"))])
        lost = max(0.0, alive - since)
        self._book(charge_of(LOST, lost, lost * self.cores, lost * self.gpus))
        self._since = time.time()

    def _book(self, charge: Charge, job: str | None = None) -> None:
        self.ledger.add(charge)
        self._journal.append("charge", charge=asdict(charge), **({"job": job} if job else {}))

    def seconds_left(self, reserve_s: float = 0.0) -> float:
        """Clock time for training until the first limit is reached at the present rate; infinite without one.

        Args:
            reserve_s: clock time that is kept for the front, which needs no GPU.
        """
        return max(0.0, min(self.clock_left() - reserve_s, self.gpu_left()))

    def gpu_left(self) -> float:
        """The same, but for limits of the clock and of cores."""
        gpu_s = self._left("gpu_s") - self._uncharged("gpus")
        return max(0.0, gpu_s / self.gpus) if self.gpus else math.inf

    def clock_left(self) -> float:
        """The same, if no GPU is used any more."""
        wall_s = self._left("wall_s") - (time.time() - self._since)
        cpu_s = self._left("cpu_s") - self._uncharged("cores")
        return max(0.0, min(wall_s, cpu_s / max(1, self.cores)))

    def _left(self, kind: str) -> float:
        """Of one limit; infinite without one."""
        return self.ledger.left(self.budget).get(kind, math.inf)

    def _uncharged(self, what: str) -> float:
        """Held until now times seconds: by running jobs or, while there are none, by the study itself."""
        now, held = time.time(), self._held.values() or [Held(self._since, self.cores, self.gpus)]
        return sum((now - one.since) * float(getattr(one, what)) for one in held)

    def trials_left(self) -> float:
        """Trials that may still be finished; infinite without a limit."""
        return self.ledger.left(self.budget).get("trials", math.inf)
