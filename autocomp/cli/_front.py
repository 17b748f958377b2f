"""The front as a table: what `show`, `search` and the live view print."""

from __future__ import annotations

from collections.abc import Sequence

from autocomp.cli._say import DISTURBED, amounts, command, millis, short_path, size, text_table, times
from autocomp.measures import headline
from autocomp.report.state import Member
from autocomp.report.summary import Summary, TrialCounts, is_disturbed, is_predicted, metric_words, score_of

LEFT = ("", "plan")
TEACHER, PLAIN = "teacher", "plain int8"


def head(metric: str, final: bool) -> list[str]:
    """Column titles; the score is on the held-out split only when the front is final."""
    return ["", "size", "smaller", "latency", "faster", metric if final else f"{metric} (search)", "of teacher", "plan"]


def row(name: str, member: Member) -> list[str]:
    """One line: name, size, latency and score, each also as times the teacher's, and the plan in words."""
    return [
        name,
        size_of(member),
        times(member.get("times_smaller")),
        time_of(member),
        times(member.get("times_faster"), is_predicted(member), is_disturbed(member)),
        score(member),
        "–" if member.get("times_score") is None else f"×{member['times_score']:.3f}",
        member.get("describe") or "",
    ]


def size_of(member: Member) -> str:
    """How large it is: `1.32 MB`."""
    return size(headline()[0].read(member))


def time_of(member: Member) -> str:
    """How long it takes: `0.81 ms`, marked where that was predicted or disturbed."""
    return millis(headline()[1].read(member), is_predicted(member), is_disturbed(member))


def score(member: Member) -> str:
    """`0.9761 ± 0.0033`; the error only where it was measured on the same split."""
    value = score_of(member)
    error = headline()[2].error(member)
    if value is None:
        return "–"
    return f"{value:.4f} ± {error:.4f}" if error is not None else f"{value:.4f}"


def rows(summary: Summary, most: int | None = None) -> list[list[str]]:
    """Teacher, plain int8, then members (at most `most`, evenly taken from small to large)."""
    marks = [(TEACHER, summary["teacher"]), (PLAIN, summary["plain_int8"])]
    named = [(m["id"] + (" *" if m.get("dominates_plain_int8") else ""), m) for m in thinned(summary["members"], most)]
    return [row(name, member) for name, member in [*marks, *named] if member]


def thinned(members: Sequence[Member], most: int | None) -> list[Member]:
    """At most `most` members, both ends kept, evenly taken in between."""
    if most is None or len(members) <= most:
        return list(members)
    return [members[round(i * (len(members) - 1) / (most - 1))] for i in range(most)]


def notes_of(summary: Summary) -> list[str]:
    """What was decided while data and model were read, a line each."""
    return [f"data: {text}" for text in summary["notes"]]


def front_text(summary: Summary, most: int | None = None) -> str:
    """The front in plain text, with its legend."""
    lines = rows(summary, most)
    if not lines:
        return "nothing measured yet"
    text = text_table(head(metric_words(summary), summary["final"]), lines, LEFT)
    hidden = len(summary["members"]) - len(thinned(summary["members"], most))
    legend = ["* nowhere worse than plain int8 and somewhere better"] if any(r[0].endswith(" *") for r in lines) else []
    if any(is_disturbed(m) for m in (summary["teacher"], summary["plain_int8"], *summary["members"]) if m):
        legend.append(DISTURBED)
    if any(is_predicted(m) for m in summary["members"]):
        legend.append("~ predicted from what was recorded of the device; nothing ran on it")
    return "\n".join([text, *legend, *([f"… and {hidden} more members: --all shows them"] if hidden else [])])


def warnings_of(summary: Summary) -> list[str]:
    """What is wrong with the study as a whole, a line each."""
    return [f"warning: {text}" for text in summary["warnings"]]


def budget_text(summary: Summary) -> str:
    """`spent 8 min 51 s of clock of 9m; 14 jobs, 212 candidates, 1 failed`."""
    budget, trials = summary["budget"], summary["trials"]
    limited = [k for k, v in budget["given"].items() if v is not None] or ["wall_s"]
    return f"spent {amounts(budget['spent'], limited)} of {budget['text'] or 'no budget'}; {counts_text(trials)}"


def counts_text(trials: TrialCounts) -> str:
    """`14 jobs, 212 candidates measured, 1 failed, 2 started again`; the last only where an attempt died."""
    again = f", {trials['retried']} started again" if trials["retried"] else ""
    return f"{trials['jobs']} jobs, {trials['complete']} candidates measured, {trials['failed']} failed{again}"


def next_steps(summary: Summary) -> list[str]:
    """What to type next; every line works as it is."""
    run = short_path(summary["run"])
    if summary["status"] == "running":
        return []
    if not summary["final"] or summary["status"] != "finished":
        return [f"go on with it:  {command('resume', run)}"]
    return [f"take one away:  {command('export', run, '--pick', 'knee', '--out', 'compressed')}"]
