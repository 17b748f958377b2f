"""Before anything starts: everything that a study names is loaded and checked, its texts' length included."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autocomp.budget import Budget, parse_budget
from autocomp.errors import BudgetError, RunFolderError
from autocomp.heads import heads
from autocomp.journal.member import DataFacts
from autocomp.measures import OF_RECORDS, measures
from autocomp.pipeline.context import texts_of
from autocomp.pipeline.plans import build_space
from autocomp.result_cache import default_store
from autocomp.searchers import searchers
from autocomp.spec import SpaceSpec, StudySpec, read_device, read_objective, read_space
from autocomp.tasks import resolve_task, tasks

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from autocomp.models.loading import LoadedModel
    from autocomp.objective import Objective
    from autocomp.space import SearchSpace
    from autocomp.spec import DeviceProfile
    from autocomp.tasks import TaskData

SPARE_BYTES = 500_000_000
SHORTEST = 128
"""Tokens that are kept at least, where the model takes so many."""
MULTIPLE = 64
ROOM = 1.25
"""How many times the longest text has room: with a smaller vocabulary the same text has more tokens."""
MANY = 0.05
"""Share of texts that are cut from which on a note warns."""
AT_ONCE = 4096
Text = str | tuple[str, str]
"""A text, or a pair of texts."""


class StudyFacts(DataFacts):
    """What `autocomp validate` prints of a study that is right; `points` are those of the search space."""

    model: str
    fine_tuned: bool
    layers: int
    hidden: int
    vocabulary: int
    space: str
    techniques: list[str]
    points: int
    objectives: list[str]
    device: str
    budget: str


@dataclass(frozen=True)
class Checked:
    """A study whose every name, value, file and column was looked at; nothing has been started."""

    spec: StudySpec
    budget: Budget
    data: TaskData
    loaded: LoadedModel
    space_spec: SpaceSpec
    space: SearchSpace
    objectives: tuple[Objective, ...]
    device: DeviceProfile

    @property
    def measure_names(self) -> tuple[str, ...]:
        """What each record measures."""
        return tuple(dict.fromkeys([*OF_RECORDS, *(o.measure for o in self.objectives)]))


def check(spec: StudySpec) -> Checked:
    """Load and check everything that a study names, cheapest first.

    Raises:
        InputError: one of its kinds, saying what is wrong, where, and the way out.
    """
    budget = parse_budget(spec.budget)
    _check_share(spec)
    device = read_device(spec.device, spec.include)
    objectives = tuple(read_objective(name, spec.include) for name in spec.objectives)
    for objective in objectives:
        measures[objective.measure]
    searchers[spec.searcher]
    space_spec = read_space(spec.space, spec.include)
    task = spec.task
    columns = {k: getattr(task, k) for k in ("text", "pair", "label", "label_names", "metric", "positive", "kind")}
    data = resolve_task(task.source, max_length=task.max_length, **columns)
    from autocomp.models.loading import load_teacher

    texts = texts_of_task(data)
    loaded = load_teacher(
        spec.model,
        data.labels,
        pairs=data.pairs,
        max_length=data.max_length,
        texts=texts,
        kind=data.kind,
        numbers=spread_and_mean(data),
        log_odds=log_odds(data),
    )
    data = _named(data, loaded.student.labels)
    loaded, data = with_length(loaded, replace(data, notes=(*data.notes, *loaded.notes)), texts)
    space = build_space(space_spec, loaded.student.encoder.shape, spec.space)
    _check_disk(default_store(), loaded)
    return Checked(spec, budget, data, loaded, space_spec, space, objectives, device)


def _named(data: TaskData, labels: tuple[str, ...]) -> TaskData:
    """The task under the model's label names, where its own are only numbers; the model's notes say so."""
    return data if data.labels == labels else replace(data, labels=labels)


def spread_and_mean(data: TaskData) -> tuple[float, float]:
    """Standard deviation and mean of the numbers in train; 1 and 0 of a task that asks for labels."""
    if heads[data.kind].answer_key != "value":
        return 1.0, 0.0
    numbers = np.array([row.target for row in data.train], np.float64)
    return float(numbers.std()), float(numbers.mean())


def log_odds(data: TaskData) -> list[float]:
    """Log odds of each label in train, where each is yes or no; none of other kinds.

    A head that begins there need not learn first that most labels are rare: from zero that takes some hundred steps.
    """
    if heads[data.kind].answer_key != "labels":
        return []
    held = data.targets("train").sum(0, dtype=np.float64)
    odds: np.ndarray = np.log((held + 1) / (len(data.train) - held + 1))
    return [float(value) for value in odds]


def with_absolute_paths(spec: StudySpec) -> StudySpec:
    """The spec with every path made absolute, so that a run can be resumed from any folder."""
    source = spec.task.source if spec.task.source in tasks else _absolute(spec.task.source)
    changes = {
        "task": spec.task.model_copy(update={"source": source}),
        "model": _absolute(spec.model),
        "space": _absolute(spec.space, ".yaml"),
        "device": _absolute(spec.device, ".yaml"),
        "objectives": tuple(_absolute(o, ".yaml") for o in spec.objectives),
        "include": tuple(_absolute(i) for i in spec.include),
    }
    return spec.model_copy(update=changes)


def _absolute(name: str, suffix: str = "") -> str:
    path = Path(name).expanduser()
    return str(path.resolve()) if name.endswith(suffix) and path.exists() else name


def check_study(spec: StudySpec) -> StudyFacts:
    """Check a study as `check` does; facts of one that is right."""
    done = check(spec)
    shape = done.loaded.student.encoder.shape
    return {
        "model": spec.model,
        "fine_tuned": done.loaded.fine_tuned,
        "layers": shape.depth,
        "hidden": shape.hidden,
        "vocabulary": shape.vocabulary,
        **data_facts(done.data),
        "space": spec.space,
        "techniques": list(done.space.techniques),
        "points": done.space.size,
        "objectives": [o.name for o in done.objectives],
        "device": done.device.name,
        "budget": str(done.budget),
    }


def data_facts(data: TaskData) -> DataFacts:
    """What a run keeps of its data: sizes and names, no texts."""
    return {
        "name": data.name,
        "kind": data.kind,
        "labels": list(data.labels),
        "metric": data.metric,
        "positive": data.positive_label,
        "train": len(data.train),
        "search": len(data.search),
        "held_out": len(data.held_out),
        "notes": list(data.notes),
        "fingerprint": data.fingerprint,
    }


def _check_share(spec: StudySpec) -> None:
    """A budget that nothing would ever be charged to must not be accepted."""
    if spec.parsed_budget.gpu_s is not None and not spec.wants_gpus:
        raise BudgetError(
            f"budget {spec.budget!r} counts GPUs, but gpu_share 0 trains on CPUs; use cpu-hours or 2h, or a share"
        )


def _check_disk(store: Path, loaded: LoadedModel) -> None:
    needed = SPARE_BYTES + 6 * 4 * sum(p.numel() for p in loaded.student.encoder.parameters())
    store.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(store).free
    if free < needed:
        raise RunFolderError(
            f"{store}: a study of this model needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
            "free some, or set AUTOCOMP_CACHE to a larger disk"
        )


def new_run(out: Path) -> Path:
    """Make a run directory.

    Raises:
        RunFolderError: there is something already.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        way_out = f"choose another --out, or `autocomp resume {out}`"
        raise RunFolderError(f"{out} exists already and is never overwritten; {way_out}")
    out.mkdir(parents=True, exist_ok=True)
    return out.resolve()


def texts_of_task(data: TaskData) -> list[Text]:
    """The texts, or pairs of texts, of all splits."""
    return texts_of((*data.train, *data.search, *data.held_out))


def count_tokens(tokenizer: Tokenizer, texts: Sequence[Text]) -> np.ndarray:
    """Tokens of each text, special ones included, nothing cut."""
    parts = (tokenizer.encode_batch_fast(part) for part in _parts(texts))
    return np.array([len(encoding) for part in parts for encoding in part])


def _parts(texts: Sequence[Text]) -> Iterator[list[Text]]:
    for start in range(0, len(texts), AT_ONCE):
        yield list(texts[start : start + AT_ONCE])


def length_for(longest: int, most: int) -> int:
    """Tokens to keep where the longest text has `longest` and the model takes `most`.

    Up to 128 tokens it is 128; beyond, room is left for smaller vocabularies.
    """
    wanted = SHORTEST if longest <= SHORTEST else MULTIPLE * math.ceil(ROOM * longest / MULTIPLE)
    return min(wanted, most)


def with_length(loaded: LoadedModel, data: TaskData, texts: Sequence[Text]) -> tuple[LoadedModel, TaskData]:
    """Settle `max_length` of model and data, and note how many texts are cut.

    Args:
        texts: of all splits of `data`.
    """
    counts = count_tokens(loaded.student.tokenizer, texts)
    wanted = data.max_length
    length = length_for(int(counts.max()), loaded.longest) if wanted is None else min(wanted, loaded.longest)
    notes = [
        *_lowered(wanted, length),
        cut_note(counts, length, loaded.student.truncation_side, length < loaded.longest),
    ]
    student = replace(loaded.student, max_length=length)
    return replace(loaded, student=student), replace(data, max_length=length, notes=(*data.notes, *notes))


def _lowered(wanted: int | None, length: int) -> list[str]:
    if wanted is None or wanted <= length:
        return []
    return [
        f"max_length {wanted} is more than the {length} tokens that the model takes (positions, or model_max_length)"
    ]


def cut_note(counts: np.ndarray, length: int, side: str, can_grow: bool) -> str:
    """What is kept of texts of `counts` tokens, and of how many something is cut.

    Args:
        side: which end is cut, `left` or `right`.
        can_grow: whether the model takes longer inputs.
    """
    kept = f"longest text {counts.max():,} tokens; inputs are kept up to {length:,}"
    cut = int((counts > length).sum())
    if not cut:
        return f"{kept}, so none is cut"
    share = cut / len(counts)
    loud = "WARNING: " if share > MANY else ""
    end = "beginning" if side == "left" else "end"
    way_out = "a larger --max-length keeps more" if can_grow else "the model takes no more"
    return f"{loud}{kept}: {cut:,} of {len(counts):,} texts ({share:.1%}) are longer and lose their {end}; {way_out}"
