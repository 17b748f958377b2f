"""Under which key does a page know a number? Measures, objectives and members in one language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal, TypedDict

from autocomp.errors import InputError
from autocomp.journal.member import read_figure
from autocomp.measurement import Measurement, MeasurementJson
from autocomp.measures import Figure, FigureJson, all_figures, figure_of, measures
from autocomp.objective import Objective
from autocomp.report.state import RunState
from autocomp.spec import read_objective


class ObjectiveJson(TypedDict):
    """An objective as a page has it; `key` is that of its figure."""

    name: str
    measure: str
    direction: Literal["minimize", "maximize"]
    limit: float | None
    key: str


def key_of(objective: Objective) -> str:
    """The key of an objective's figure."""
    return _figure(objective).key


def _figure(objective: Objective) -> Figure:
    return figure_of(objective.measure, objective.options.get("statistic"))


def known_figures(state: RunState, metric: str) -> list[FigureJson]:
    """What the numbers of a run are called and how they are read, as scripts and pages have it.

    A figure that its measure does not describe has the name and the direction of the objective that looks at it.
    """
    objectives = {_figure(objective): objective for objective in objectives_of(state)}
    listed = all_figures([*state.measured, *(objective.measure for objective in objectives.values())])
    figures = {figure.key: figure for figure in [*listed, *objectives]}
    return [_described_by(objectives.get(figure), figure).to_json(metric) for figure in figures.values()]


def _literal(text: str) -> str:
    """A text that names no metric, whatever it says."""
    return text.replace("{", "{{").replace("}", "}}")


def _described_by(objective: Objective | None, figure: Figure) -> Figure:
    if objective is None:
        return figure
    if figure.label:
        return replace(figure, is_drawn=True)
    better: Literal["less", "more"] = "less" if objective.direction == "minimize" else "more"
    return replace(figure, label=_literal(objective.name), better=better, is_drawn=True)


def objectives_of(state: RunState) -> tuple[Objective, ...]:
    """A run's objectives: as its journal has them, else (older runs) as the catalogue has them now.

    One that no file describes any more is left out.
    """
    if state.objectives:
        return tuple(Objective(**told) for told in state.objectives)
    return tuple(_read(state.spec.get("objectives") or (), state.spec.get("include") or ()))


def _read(names: Any, include: Any) -> Iterator[Objective]:
    for name in names:
        try:
            yield read_objective(name, include)
        except InputError:
            continue


def described(objective: Objective) -> ObjectiveJson:
    """An objective as a page has it."""
    return {
        "name": objective.name,
        "measure": objective.measure,
        "direction": objective.direction,
        "limit": objective.limit,
        "key": key_of(objective),
    }


def figures_of(measured: Mapping[str, MeasurementJson], objectives: tuple[Objective, ...]) -> dict[str, float]:
    """Numbers of a record's `measurements` by key; what was not measured is absent."""
    found = {figure.key: value for name, m in measured.items() for figure, value in _drawn(name, m)}
    for objective in objectives:
        if "statistic" in objective.options and objective.measure in measured:
            found[key_of(objective)] = objective.value(_one(measured, objective.measure))
    return found


def _drawn(name: str, measured: MeasurementJson) -> Iterator[tuple[Figure, float]]:
    """The figures of one measurement that charts of all candidates have."""
    for figure in measures.figures(name):
        if figure.statistic is None:
            yield figure, measured["value"]
        elif figure.is_drawn and figure.statistic in (measured.get("details") or {}):
            yield figure, measured["details"][figure.statistic]


def _one(measured: Mapping[str, MeasurementJson], name: str) -> dict[str, Measurement]:
    return {name: Measurement.from_json(measured[name])}


def of_teacher(state: RunState, objectives: tuple[Objective, ...]) -> dict[str, float | None]:
    """The teacher's value by objective: as the journal has it, else (older runs) from its figures."""
    keys = {objective.name: _figure(objective).keys[-1] for objective in objectives}
    found = {name: read_figure(state.teacher, key) for name, key in keys.items()}
    return {**found, **state.judged_by}
