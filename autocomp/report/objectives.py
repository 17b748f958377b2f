"""Under which key does a page know a number? Measures, objectives and members in one language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from autocomp.errors import InputError
from autocomp.measurement import Measurement
from autocomp.objective import Objective
from autocomp.report.state import RunState
from autocomp.spec import read_objective

KEYS = {
    "artifact_size": "bytes",
    "compressed_size": "gzip_bytes",
    "latency": "latency_ms",
    "task_score": "score",
    "agreement": "agreement",
    "load_time": "load_ms",
    "resident_memory": "resident_mb",
    "parameters": "parameters",
    "survey_size": "survey_size_pct",
}
STATISTICS = {("latency", "p50"): "latency_p50_ms", ("latency", "p95"): "latency_p95_ms"}
ALWAYS = ("latency", "p95")
"""A statistic that a page shows whether or not an objective asks for it."""


def key_of(objective: Objective) -> str:
    """The name of an objective's figure on the page; a measure that pages do not know keeps its own name."""
    measure, statistic = objective.measure, objective.options.get("statistic")
    if statistic is None:
        return KEYS.get(measure, measure)
    return STATISTICS.get((measure, statistic), f"{measure}_{statistic}")


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


def described(objective: Objective) -> dict[str, Any]:
    """An objective as a page has it."""
    told = objective.model_dump(include={"name", "measure", "direction", "limit"})
    return {**told, "key": key_of(objective)}


def figures_of(measured: Mapping[str, Mapping[str, Any]], objectives: tuple[Objective, ...]) -> dict[str, float]:
    """Numbers of a record's `measurements` by key; what was not measured is absent."""
    found = {KEYS.get(name, name): m["value"] for name, m in measured.items()}
    measure, statistic = ALWAYS
    details = measured.get(measure, {}).get("details") or {}
    if statistic in details:
        found[STATISTICS[ALWAYS]] = details[statistic]
    for objective in objectives:
        if "statistic" in objective.options and objective.measure in measured:
            found[key_of(objective)] = objective.value(_one(measured, objective.measure))
    return found


def _one(measured: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, Measurement]:
    return {name: Measurement.from_json(dict(measured[name]))}


def of_teacher(state: RunState, objectives: tuple[Objective, ...]) -> dict[str, float | None]:
    """The teacher's value by objective: as the journal has it, else (older runs) from its figures."""
    figures = state.teacher or {}
    keys = {objective.name: key_of(objective) for objective in objectives}
    found = {name: figures.get("search_score" if key == "score" else key) for name, key in keys.items()}
    return {**found, **state.judged_by}
