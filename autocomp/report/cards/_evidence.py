"""Reads `RUN/evidence.json`, which `study/evidence.py` writes; trusts nothing in it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

import numpy as np

from autocomp.architectures import EncoderShape
from autocomp.heads import DEFAULT, heads
from autocomp.journal.member import EvidenceFile
from autocomp.strict_json import JsonView

if TYPE_CHECKING:
    from autocomp.report.state import RunState

FILE, VERSION = "evidence.json", 1
MOST_BYTES = 256_000_000
MOST_CELLS = 20_000_000
"""Yes-or-no answers of one model that are looked at: rows times labels."""
FORMS = ("label", "labels", "value")
LARGEST = 1e30
"""Numbers beyond it are nobody's answers."""


class Latency(TypedDict):
    """Milliseconds a text: mean and percentiles over all texts, the median over rounds of those that are kept.

    Attributes:
        rounds, texts: how often each text was timed, and how many there were.
        predicted: nothing ran on the device.
        disturbed: something else ran each time.
        ms: of each text that is kept.
        tokens: of the same texts; None in older runs.
    """

    mean: float
    p50: float
    p95: float
    p99: float
    rounds: int
    texts: int
    predicted: bool
    disturbed: bool
    ms: list[float]
    tokens: list[int] | None


class StageFacts(TypedDict):
    """A cached stage: seconds to make it, the job that did, seconds of cores it held; of students their training."""

    seconds: float | None
    cpu_s: float | None
    rung: int | None
    steps: int | None
    stopped_after: int | None
    kind: str | None
    job: str | None


@dataclass(frozen=True)
class Seen:
    """What one model did on the held-out split.

    Attributes:
        answers: `[rows]` labels or numbers, or `[rows, C]` yes or no; None of a kind that nothing here can read.
        confidence: `[rows]`, how probable the answers are; None where the kind does not say so.
        depths: `[rows]`, layers that ran; None if nobody noted them.
        latency: how long texts took.
        thresholds: by which labels that each are yes or no are decided; empty where they are not.
    """

    answers: np.ndarray | None
    confidence: np.ndarray | None
    depths: np.ndarray | None
    latency: Latency
    thresholds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """The file's content, checked; empty but for `notes` where it could not be used.

    Attributes:
        truth: `[rows]` or `[rows, C]` as answers; None of a kind that nothing here can read.
        rows: how many there are.
        kind: what was asked of models, a name of `autocomp.heads` or of a head that is not installed here.
        unit: the spread of numbers that were learnt.
        texts: `{row: (text, pair)}` of rows on which models differ.
        stages: by key; `lineage`: keys by model, oldest first.
    """

    labels: tuple[str, ...] = ()
    truth: np.ndarray | None = None
    rows: int = 0
    kind: str = DEFAULT
    unit: float = 1.0
    teacher_shape: EncoderShape | None = None
    models: Mapping[str, Seen] = field(default_factory=dict)
    texts: Mapping[int, tuple[str, str | None]] = field(default_factory=dict)
    stages: Mapping[str, StageFacts] = field(default_factory=dict)
    lineage: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def evidence_of(run: Path, state: RunState) -> Evidence | None:
    """The evidence that the front of a run names; None while there is no final front, or in older runs."""
    stated = state.front and state.front.evidence
    return read_evidence(run, stated) if state.final and isinstance(stated, Mapping) else None


def read_evidence(run: Path, stated: EvidenceFile | None = None) -> Evidence:
    """The run's evidence; one that cannot be used is empty, with a note that says why.

    Args:
        stated: what the journal says of it (`sha256`); not compared when None.
    """
    try:
        status = (run / FILE).stat()
    except OSError as error:
        return Evidence(notes=(f"{FILE} cannot be read: {error.strerror}",))
    if status.st_size > MOST_BYTES:
        return Evidence(notes=(f"{FILE} is not read: it has more than {MOST_BYTES:,} bytes",))
    return _read(run / FILE, (status.st_mtime_ns, status.st_size), str(stated.get("sha256")) if stated else None)


@lru_cache(maxsize=8)
def _read(file: Path, stamp: tuple[int, int], sha256: str | None) -> Evidence:
    """Read once as long as its time and size stay: every card of a run asks for it."""
    try:
        data = file.read_bytes()
        if sha256 is not None and sha256 != hashlib.sha256(data).hexdigest():
            return Evidence(notes=(f"{FILE} is not the one that the journal names: it was changed since",))
        return _parsed(json.loads(data, parse_constant=_no_number))
    except OSError as error:
        return Evidence(notes=(f"{FILE} cannot be read: {error.strerror}",))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        why = f"{type(error).__name__}: {str(error)[:200]}"
        return Evidence(notes=(f"{FILE} is damaged, or of another program ({why})",))


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _parsed(data: JsonView) -> Evidence:
    if data["version"] != VERSION:
        raise ValueError(f"version = {data['version']!r}, this autocomp reads {VERSION}")
    labels = tuple(_all(data["labels"], lambda v: isinstance(v, str), "labels"))
    kind, unit = str(data.get("kind", DEFAULT)), data.get("unit", 1.0)
    _numbers([unit], "unit", 1e-30, LARGEST, None, float)
    form, rows = form_of(kind), len(_all(data["truth"], lambda v: True, "truth"))
    stages = {str(key): _stage(stage) for key, stage in data["stages"].items()}
    lineage = {name: [key for key in keys if key in stages] for name, keys in data["lineage"].items()}
    shape = data.get("teacher_shape")
    return Evidence(
        labels=labels,
        truth=_answers(data["truth"], "truth", form, len(labels), rows),
        rows=rows,
        kind=kind,
        unit=float(unit),
        teacher_shape=EncoderShape.from_json(shape) if shape else None,
        models={name: _seen(one, form, len(labels), rows) for name, one in data["models"].items()},
        texts={int(t["row"]): (_text(t["text"]), _text(t["pair"], or_none=True)) for t in data["texts"]},
        stages=stages,
        lineage=lineage,
        notes=() if form else (f"answers of the kind {kind[:80]} cannot be read here: no installed head has them",),
    )


def form_of(kind: str) -> str:
    """How answers of a kind are held: as `label`, `labels` or `value`; empty where nothing here can read them."""
    try:
        form: str = heads[kind].answer_key
    except Exception:  # not installed, or a plug-in that cannot be loaded: a card shows what else there is
        return ""
    return form if form in FORMS else ""


def _seen(one: JsonView, form: str, labels: int, rows: int) -> Seen:
    confidence, depths, thresholds = one.get("confidence"), one["depths"], one.get("thresholds") or []
    return Seen(
        answers=_answers(one["answers"], "answers", form, labels, rows),
        confidence=None if confidence is None else _numbers(confidence, "confidence", 0, 1, rows, float),
        depths=None if depths is None else _numbers(depths, "depths", 0, 1000, rows),
        latency=_latency(one["latency"]),
        thresholds=tuple(_numbers(thresholds, "thresholds", 0, 1, labels, float).tolist() if thresholds else ()),
    )


def _answers(values: Any, what: str, form: str, labels: int, rows: int) -> np.ndarray | None:
    """`[rows]` or `[rows, labels]`, as the head of that form holds them; None of a form that is not known."""
    if form == "label":
        return _numbers(values, what, 0, labels - 1, rows)
    if form == "labels":
        return _sets(values, what, labels, rows)
    return _numbers(values, what, -LARGEST, LARGEST, rows, float) if form == "value" else None


def _sets(values: Any, what: str, labels: int, rows: int) -> np.ndarray:
    """1 at each label that a row names, `[rows, labels]`."""
    held = _all(values, lambda v: isinstance(v, list), what)
    if len(held) != rows or rows * labels > MOST_CELLS:
        raise ValueError(f"{what} has {len(held)} rows, not {rows}, or more than {MOST_CELLS:,} cells")
    flat = _numbers([label for row in held for label in row], what, 0, labels - 1)
    found = np.zeros((rows, labels), np.int64)
    found[np.repeat(np.arange(rows), [len(row) for row in held]), flat] = 1
    return found


def _latency(told: JsonView) -> Latency:
    milliseconds = _numbers(told["ms"], "ms", 0, 1e9, None, float)
    tokens = told["tokens"]
    if tokens is not None:
        tokens = _numbers(tokens, "tokens", 0, 1e9, len(milliseconds)).tolist()
    figures = {name: float(told[name]) for name in ("mean", "p50", "p95", "p99")}
    _numbers(list(figures.values()), "latency", 0, 1e9, None, float)
    shown = {"rounds": int(told["rounds"]), "texts": int(told["texts"])}
    shown |= {mark: bool(told.get(mark)) for mark in ("predicted", "disturbed")}
    return cast(Latency, {**figures, **shown, "ms": milliseconds.tolist(), "tokens": tokens})


def _stage(told: JsonView) -> StageFacts:
    numbers = {name: told.get(name) for name in ("seconds", "cpu_s", "rung", "steps", "stopped_after")}
    _all([v for v in numbers.values() if v is not None], _is_number, "stages")
    words = {name: told.get(name) for name in ("kind", "job")}
    _all([v for v in words.values() if v is not None], lambda v: isinstance(v, str), "stages")
    return cast(StageFacts, {**numbers, **words})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _all(values: Any, holds: Callable[[Any], bool], what: str) -> list[Any]:
    if not isinstance(values, list) or not all(holds(v) for v in values):
        raise ValueError(f"{what} holds something else than it should")
    return values


def _text(value: Any, or_none: bool = False) -> Any:
    if not isinstance(value, str) and not (or_none and value is None):
        raise ValueError("a text is no text")
    return value


def _numbers(
    values: Any, what: str, low: float, high: float, count: int | None = None, kind: type[int] | type[float] = int
) -> np.ndarray:
    """`[n]`, each from `low` to `high`, and `count` of them."""
    allowed = int if kind is int else int | float
    found = np.array(_all(values, lambda v: isinstance(v, allowed) and _is_number(v), what), kind)
    if count is not None and len(found) != count:
        raise ValueError(f"{what} has {len(found)} values, not {count}")
    if len(found) and not low <= found.min() <= found.max() <= high:
        raise ValueError(f"{what} goes from {found.min()} to {found.max()}, beyond {low} to {high}")
    return found
