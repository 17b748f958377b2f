"""What is a run worth? Its landmarks, members, budget and trials, rebuilt from the journal alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np

from autocomp.errors import listed
from autocomp.heads import DEFAULT
from autocomp.journal import read_events
from autocomp.journal.member import RankAgreement, with_figures
from autocomp.measures import FigureJson, headline
from autocomp.pareto import dominates
from autocomp.report.lock import is_held
from autocomp.report.objectives import known_figures
from autocomp.report.state import Member, RunState


class BudgetSummary(TypedDict):
    """What may be spent and what was, in seconds by kind (`wall_s`, `cpu_s`, `gpu_s`) and in `trials`.

    Attributes:
        text: the budget as it was given.
        given: limits; None where there is none.
        spent, left: so far; nothing is left of what has no limit.
        by_purpose: what was spent for `teacher`, `trial` …
    """

    text: str | None
    given: Mapping[str, float | None]
    spent: dict[str, float]
    left: dict[str, float]
    by_purpose: dict[str, dict[str, float]]


class TrialCounts(TypedDict):
    """Candidates measured and failed, jobs started, and attempts at jobs that died and were started again."""

    complete: int
    failed: int
    jobs: int
    retried: int


class Summary(TypedDict):
    """What `autocomp show RUN --json` prints; docs/command-line.md says what its keys are."""

    run: str
    status: Literal["finished", "running", "interrupted"]
    reason: str | None
    final: bool
    model: str | None
    task: str | None
    kind: str
    metric: str
    positive: str | None
    notes: list[str]
    teacher: Member | None
    plain_int8: Member | None
    members: list[Member]
    budget: BudgetSummary
    trials: TrialCounts
    hypervolume: float | None
    agreement: RankAgreement | None
    warnings: list[str]
    figures: list[FigureJson]


def read_state(run: Path) -> RunState:
    """The events of a run, added up.

    Raises:
        RunFolderError: no journal there, or a damaged one.
    """
    state = RunState()
    for event in read_events(run / "journal.jsonl"):
        state.add(event)
    return state


def summary(run: Path) -> Summary:
    """What `autocomp show RUN --json` prints; its keys are documented in docs/command-line.md.

    Raises:
        RunFolderError: `run` is not a run directory.
    """
    run = Path(run)
    return summarise(read_state(run), run)


def summarise(state: RunState, run: Path) -> Summary:
    """The summary of a state whose files lie under `run`."""
    run = run.resolve()
    teacher, plain, *members = (_on_split(m, state.final) for m in (state.teacher, state.plain_int8, *state.members))
    plain = _landmark(plain, teacher, run)
    size = headline()[0]
    found = [_member(m, teacher, plain, run) for m in members if m]
    metric, positive = state.data.get("metric") or "score", state.data.get("positive")
    return {
        "run": str(run),
        "status": status(state, run),
        "reason": state.reason,
        "final": state.final,
        "model": state.spec.get("model"),
        "task": state.data.get("name") or (state.spec.get("task") or {}).get("source"),
        "kind": state.data.get("kind") or DEFAULT,
        "metric": metric,
        "positive": positive,
        "notes": list(state.data.get("notes") or ()),
        "teacher": _landmark(teacher, teacher, run),
        "plain_int8": plain,
        "members": sorted(found, key=lambda m: (size.read(m) or 0, m.get("id") or "")),
        "budget": _budget(state),
        "trials": {
            "complete": state.count("complete"),
            "failed": state.count("failed"),
            "jobs": len(state.started),
            "retried": len(state.retried),
        },
        "hypervolume": state.front.hypervolume if state.front else None,
        "agreement": state.front.agreement if state.front else None,
        "warnings": list(state.warnings),
        "figures": known_figures(state, words_of(metric, positive)),
    }


def status(state: RunState, run: Path) -> Literal["finished", "running", "interrupted"]:
    """`finished`, `running` (a living process holds the run's lock), or `interrupted`."""
    if state.reason is not None:
        return "finished"
    return "running" if is_held(run) else "interrupted"


def members_by_id(summary: Summary) -> dict[str, Member]:
    """Members, then the landmarks that were measured, by their ids."""
    found = {member["id"]: member for member in summary["members"]}
    if summary["teacher"]:
        found["teacher"] = summary["teacher"]
    if summary["plain_int8"]:
        found["plain_int8"] = summary["plain_int8"]
    return found


def metric_words(summary: Summary) -> str:
    """The metric, with the label that it is about where it is about one: `f1 of spam`."""
    return words_of(summary["metric"], summary["positive"])


def words_of(metric: str, positive: str | None) -> str:
    """A metric, with the label that it is about where it is about one."""
    return metric if positive is None else f"{metric} of {listed([positive])}"


def score_of(member: Member) -> float | None:
    """The held-out score, or the search split's while there is none."""
    return headline()[2].read(member)


def is_predicted(member: Member) -> bool:
    """Whether its latency was predicted from what was recorded of the device, on which it never ran."""
    return headline()[1].is_marked(member, "predicted")


def is_disturbed(member: Member) -> bool:
    """Whether something else ran each time that its latency was measured, which should not be trusted."""
    return headline()[1].is_marked(member, "disturbed")


def losses(member: Member) -> tuple[float, float, float] | None:
    """Size, time and the score's negative, or None while one of them is not measured."""
    size, time, score = (figure.read(member) for figure in headline())
    return None if size is None or time is None or score is None else (size, time, -score)


def _budget(state: RunState) -> BudgetSummary:
    spent = {k: round(v, 3) for k, v in asdict(state.ledger).items()}
    by_purpose = {what: {k: round(v, 3) for k, v in asdict(part).items()} for what, part in state.charges.items()}
    return {
        "text": state.spec.get("budget"),
        "given": state.budget.to_json(),
        "spent": spent,
        "left": state.ledger.left(state.budget),
        "by_purpose": by_purpose,
    }


def _on_split(member: Member | None, final: bool) -> Member | None:
    # Until the front is final only the search split's scores are there for all: the two splits are never compared.
    hidden = dict.fromkeys(("score", "score_se", "score_difference", "score_difference_se"))
    return member if final or member is None else with_figures(member, hidden)


def _member(member: Member, teacher: Member | None, plain: Member | None, run: Path) -> Member:
    full = _landmark(member, teacher, run) or Member()
    mine, theirs = losses(full), losses(plain or Member())
    full["dominates_plain_int8"] = bool(mine and theirs and dominates(np.array(mine), np.array(theirs)))
    return full


def _landmark(member: Member | None, teacher: Member | None, run: Path) -> Member | None:
    if member is None:
        return None
    base, (size, time, _) = teacher or Member(), headline()
    path, student = member.get("path"), member.get("student")
    return {
        **member,
        "score": member.get("score"),
        "score_se": member.get("score_se"),
        "times_smaller": member.get("times_smaller") or _times(size.read(base), size.read(member)),
        "times_faster": member.get("times_faster") or _times(time.read(base), time.read(member)),
        "times_score": _times_score(score_of(member), score_of(base)),
        "path": str(run / path) if path else None,
        "student": str(run / student) if student else None,
    }


def _times(a: float | None, b: float | None) -> float | None:
    return a / b if a is not None and b else None


def _times_score(mine: float | None, teacher: float | None) -> float | None:
    """A score over the teacher's; None where one of them is negative, for then that says nothing."""
    return None if mine is None or mine < 0 or teacher is None or teacher <= 0 else mine / teacher
