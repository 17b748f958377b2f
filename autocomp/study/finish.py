"""After the last trial: the final front scored, timed, written out and journaled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from autocomp.journal.events import FrontWritten
from autocomp.journal.member import with_figures
from autocomp.pipeline.jobs import teller
from autocomp.study import front
from autocomp.study.evidence import write_evidence
from autocomp.study.preparation import landmark_members

if TYPE_CHECKING:
    from autocomp.journal.events import Member
    from autocomp.record import TrialRecord
    from autocomp.study.preparation import OpenRun, Prepared
    from autocomp.study.search import Search

LEAST_TIMING_S = 2.0
LONG_S = 1e9
"""Stands for a budget without a limit of time."""


class Finish:
    """The part of a study after its last trial."""

    def __init__(self, run: OpenRun, prepared: Prepared, search: Search) -> None:
        self.run, self.context, self.landmarks, self.search = run, prepared.context, prepared.landmarks, search

    def write(self) -> None:
        """Write the final front, charge it and journal it; without any record it is the teacher and its int8 export."""
        teller(self.run.folder, "front")("scoring and timing the final front", 0.0)
        left_s = min(self.run.budget.clock_left(), LONG_S)
        timing_s = float(np.clip(left_s / 2, LEAST_TIMING_S, front.TIMING_S))
        chosen = self.choose(left_s - timing_s)
        seen = self.see(chosen, timing_s)
        kept = front.members(self.context, self.search.scale, chosen, seen)
        members = front.write_out(self.context, self.run.folder, kept, seen)
        landmarks = self.landmarks_on_held_out(seen)
        evidence = write_evidence(self.run.folder, self.context, members, seen)
        self.run.budget.charge("front")
        written = [r for r in chosen if r.id in {m["record"] for m in members}]
        self.run.journal.append(
            FrontWritten(
                members=members or list(landmarks.values()),
                teacher=landmarks["teacher"],
                plain_int8=landmarks["plain_int8"],
                hypervolume=self.search.scale.hypervolume(written),
                agreement=front.rank_agreement(members),
                evidence=evidence,
            )
        )

    def choose(self, seconds: float) -> list[TrialRecord]:
        """As many of the best candidates as can be scored and written in some seconds."""
        workers, rows = max(1, self.search.executor.workers), len(self.context.data.held_out)
        best, most = self.search.archive.front(), self.run.spec.members
        return front.candidates(self.search.scale, best, most, seconds, rows, workers)

    def see(self, chosen: Sequence[TrialRecord], timing_s: float) -> dict[str, front.Scored]:
        """Score the chosen and the landmarks on the held-out split, and time them together."""
        run, workers, left_s = self.run, self.run.workers, self.run.budget.clock_left
        return front.score_and_time(self.context, run.folder, chosen, workers, timing_s, left_s, run.warn)

    def landmarks_on_held_out(self, seen: Mapping[str, front.Scored]) -> dict[str, Member]:
        """The landmarks as members, with their figures on the held-out split."""
        members = landmark_members(self.run, self.context, self.landmarks)
        held_out = {name: front.held_out_figures(self.context, seen, name) for name in members}
        return {name: with_figures(one, held_out[name]) for name, one in members.items()}
