"""The ledger at work: every second since the start is charged once, and what is left becomes a deadline."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from autocomp.budget import Budget, Charge, Ledger

if TYPE_CHECKING:
    from autocomp.record import Journal


class Purse:
    """Books charges in the journal and says how much is left.

    Args:
        budget: of the study.
        journal: charges already there are taken over.
        cores, gpus: held by this study while it runs.
    """

    def __init__(self, budget: Budget, journal: Journal, cores: int, gpus: int = 0) -> None:
        self.budget, self.cores, self.gpus = budget, cores, gpus
        self._journal = journal
        self.ledger = Ledger()
        for event in journal.events("charge"):
            self.ledger.add(Charge(**event["charge"]))
        self._since = time.time()

    def charge(self, what: str, *, job: str | None = None, held_s: float | None = None, trials: int = 0) -> None:
        """Book the clock since the last charge, and cores held for `held_s` (the clock's time if None) by this study.

        Jobs that run side by side each name their own `held_s` in core-seconds; the clock runs once.
        """
        now = time.time()
        wall = now - self._since
        cpu = wall * self.cores if held_s is None else held_s
        self._since = now
        self._book(Charge(what, round(wall, 3), round(cpu, 3), round(wall * self.gpus, 3), trials), job)

    def charge_lost(self, run: Path, since: float, last: float) -> None:
        """Book what an interrupted study held since its last charge, until it last showed life.

        Args:
            run: its folder; the progress files of its jobs are signs of life.
            since: when the clock was last charged, seconds since 1970.
            last: when its last event was written.
        """
        alive = max([last, *(f.stat().st_mtime for f in (run / "work").glob("*.json"))])
        lost = max(0.0, alive - since)
        self._book(Charge("lost", round(lost, 3), round(lost * self.cores, 3), round(lost * self.gpus, 3)), None)
        self._since = time.time()

    def _book(self, charge: Charge, job: str | None) -> None:
        self.ledger.add(charge)
        self._journal.append("charge", charge=asdict(charge), **({"job": job} if job else {}))

    def seconds_left(self) -> float:
        """Clock time until the first limit is reached at the present rate of spending; infinite without one."""
        left = self.ledger.left(self.budget)
        passed = time.time() - self._since
        rates = {"wall_s": 1, "cpu_s": self.cores, "gpu_s": self.gpus}
        times = [left[kind] / rate - passed for kind, rate in rates.items() if kind in left and rate]
        return max(0.0, min(times)) if times else math.inf

    def trials_left(self) -> float:
        """Trials that may still be finished; infinite without a limit."""
        return self.ledger.left(self.budget).get("trials", math.inf)
