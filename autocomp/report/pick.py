"""Which member? A name of a corner, an id, or limits that it must meet; and its files, taken away."""

from __future__ import annotations

import operator
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from autocomp.errors import InputError, UnknownName
from autocomp.journal.member import read_figure
from autocomp.measures import headline
from autocomp.pareto import knee
from autocomp.report.state import Member
from autocomp.report.summary import Summary, losses, members_by_id, score_of
from autocomp.storage import atomic_folder

_LIMIT = re.compile(r"^\s*(?P<name>[a-z_0-9]+)\s*(?P<sign><=|>=|<|>|==?)\s*(?P<number>[-+0-9.e_]+)\s*$", re.IGNORECASE)
_HOLDS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "=": operator.eq, "==": operator.eq}
Read = Callable[[Member], float | None]
CORNERS = ("knee", "fastest", "smallest", "best")


@dataclass(frozen=True)
class Limit:
    """One condition, `latency_ms<=2`."""

    name: str
    sign: str
    number: float
    read: Read

    def __str__(self) -> str:
        return f"{self.name}{self.sign}{self.number:g}"

    def holds(self, member: Member) -> bool:
        """Whether the member meets it; a number that was not measured does not."""
        value = self.read(member)
        return value is not None and bool(_HOLDS[self.sign](value, self.number))

    def excess(self, member: Member) -> float:
        """How far the member is beyond it, as a fraction of the limit; 0 when it holds."""
        value = self.read(member)
        if value is None:
            return float("inf")
        return 0.0 if self.holds(member) else abs(value - self.number) / max(abs(self.number), 1e-12)


def pick(summary: Summary, expression: str) -> Member:
    """One member of a summary.

    Args:
        summary: of `report.summary.summary`.
        expression: `knee`, `fastest`, `smallest`, `best`, a member's id (also `teacher`, `plain_int8`), or limits
            joined by commas; among the members that meet all limits the one with the best score, ties by latency.

    Raises:
        InputError: nothing fits; the message names the nearest member.
        UnknownName: no such corner or id.
    """
    members = [m for m in summary["members"] if losses(m)]
    ids = members_by_id(summary)
    if expression in ids:
        return ids[expression]
    if re.search("[<>=]", expression):
        return _within(summary, members, expression)
    if expression not in CORNERS:
        raise UnknownName("member", expression, [*CORNERS, *ids])
    if not members:
        raise InputError(f"{summary['run']} has no members to pick from ({summary['status']})")
    return _corner(members, expression)


def _corner(members: list[Member], name: str) -> Member:
    if name == "knee":
        return members[_knee(members)]
    size, time, loss = 0, 1, 2
    order = {"fastest": (time, loss, size), "smallest": (size, loss, time), "best": (loss, time, size)}[name]
    return min(members, key=lambda m: tuple((losses(m) or (0, 0, 0))[i] for i in order))


def _knee(members: list[Member]) -> int:
    # Sizes and times span two orders of magnitude: halving is worth the same anywhere only on a log scale.
    table = np.array([losses(m) for m in members], float)
    table[:, :2] = np.log(np.maximum(table[:, :2], 1e-9))
    return knee(table)


def _within(summary: Summary, members: list[Member], expression: str) -> Member:
    numbers = _numbers(summary)
    limits = [_limit(part, summary["metric"], numbers) for part in expression.split(",")]
    fitting = [m for m in members if all(limit.holds(m) for limit in limits)]
    if fitting:
        return _corner(fitting, "best")
    raise InputError(_nothing(summary, members, limits))


def _numbers(summary: Summary) -> dict[str, Read]:
    """What limits may be on: the run's figures, the size in megabytes, and multiples of the teacher's."""
    size = headline()[0]
    return {
        **{figure["key"]: partial(_first, figure["keys"]) for figure in summary["figures"]},
        "mb": lambda member: None if size.read(member) is None else (size.read(member) or 0) / 1e6,
        "times_smaller": partial(_first, ["times_smaller"]),
        "times_faster": partial(_first, ["times_faster"]),
        headline()[2].key: score_of,
        summary["metric"]: score_of,
    }


def _first(keys: Sequence[str], member: Member) -> float | None:
    return next((value for key in keys if (value := read_figure(member, key)) is not None), None)


def _limit(part: str, metric: str, numbers: Mapping[str, Read]) -> Limit:
    match, names = _LIMIT.match(part), sorted(numbers)
    if not match:
        raise InputError(f"a limit is like latency_ms<=2, with one of {', '.join(names)}; got {part.strip()!r}")
    name = match["name"].lower()
    if name not in names:
        hint = f"this run's score is {metric}; " if name in ("accuracy", "f1", "macro_f1", "matthews") else ""
        raise InputError(f"{hint}a limit is on one of {', '.join(names)}; got {part.strip()!r}")
    read = numbers[name]
    return Limit(name, match["sign"], _number(match["number"], name, read), read)


def _number(text: str, name: str, read: Read) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise InputError(f"a limit ends in a number; got {text!r} for {name}") from error
    if read is score_of and abs(number) > 1:
        raise InputError(f"scores are fractions from 0 to 1, such as {name}>=0.95; got {text}")
    return number


def _nothing(summary: Summary, members: list[Member], limits: list[Limit]) -> str:
    asked = ", ".join(map(str, limits))
    if not members:
        return f"{summary['run']} has no members to pick from ({summary['status']})"
    near = min(members, key=lambda m: (sum(limit.excess(m) for limit in limits), -(score_of(m) or 0)))
    has = ", ".join(f"{name} {_short(read(near))}" for name, read in {x.name: x.read for x in limits}.items())
    return f"none of {len(members)} members meets {asked}; the nearest is {near['id']} ({has}): say --pick {near['id']}"


def _short(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def export(member: Member, out: Path) -> Path:
    """Copy a member's folder to `out`, which must not exist; returns `out`.

    Raises:
        InputError: `out` exists, the member has no files yet, or they cannot be written.
    """
    source = files_of(member)
    if out.exists():
        raise InputError(f"{out} exists and is not overwritten; name another --out, or remove it first")
    try:
        with atomic_folder(out) as new:
            shutil.copytree(source, new)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error}") from error
    return out


def files_of(member: Member) -> Path:
    """A member's folder.

    Raises:
        InputError: it has no files yet.
    """
    path = member.get("path")
    source = Path(path) if path else None
    if source is None or not (source / "model.onnx").is_file():
        raise InputError(f"member {member['id']} has no files yet: they are written when the study ends; resume it")
    return source
