"""What a study is made of, pinned when it begins and compared when it is resumed: no front mixes two studies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocomp.environment import COMPUTING, machine_facts, same_version, versions
from autocomp.errors import ChangedStudy, RunFolderError
from autocomp.journal import read_events
from autocomp.journal.events import StudyBegun
from autocomp.journal.member import MadeOf
from autocomp.pipeline.context import content_of
from autocomp.plan import canonical, fingerprint
from autocomp.result_cache import code_versions
from autocomp.spec import StudySpec
from autocomp.strict_json import Json, JsonView

if TYPE_CHECKING:
    from autocomp.study.validate import Checked
    from autocomp.tasks import TaskData

SPLITS = ("train", "search", "held_out")
SETTINGS = ("seed", "searcher", "teacher_epochs", "teacher_learning_rate", "recovery_steps")
LATENCIES = ("cpu", "instruction_sets")
"""Facts of a machine that decide its times."""
MOST_LETTERS = 60
"""Letters of a value; a longer one is not written out."""


def pins(checked: Checked) -> MadeOf:
    """What is pinned of a study."""
    from autocomp.models.encoder import plain_weights
    from autocomp.models.student import facts_of, weights_fingerprint

    student = checked.loaded.student
    return {
        "data": data_pins(checked.data),
        "model": {
            "weights": weights_fingerprint(plain_weights(student.encoder)),
            "tokenizer": sha256(student.tokenizer.to_str().encode()).hexdigest(),
            "shape": student.encoder.shape.to_json(),
            **facts_of(student),
        },
        "objectives": [o.model_dump(mode="json") for o in checked.objectives],
        "space": {
            "techniques": list(checked.space.techniques),
            "knobs": {name: list(knob.values) for name, knob in checked.space.knobs.items()},
            "start": list(checked.space_spec.start),
        },
        "device": checked.device.model_dump(mode="json"),
        "settings": {name: getattr(checked.spec, name) for name in SETTINGS},
        "versions": versions(),
        "code": code_versions(),
        "machine": machine_facts(),
    }


def data_pins(data: TaskData) -> Json:
    """Rows of each split by number and hash, and all else that is known of the data but how it is called."""
    splits = {s: {"rows": len(getattr(data, s)), "hash": fingerprint(getattr(data, s))} for s in SPLITS}
    return {**content_of(data), **splits}


def spec_of(run: Path) -> StudySpec:
    """The study of a run directory.

    Raises:
        RunFolderError: not a run directory.
    """
    if not (run / "study.json").is_file():
        raise RunFolderError(f"{run} is not a run directory: it has no study.json")
    return StudySpec(**json.loads((run / "study.json").read_text(encoding="utf-8")))


def check_unchanged(run: Path, checked: Checked, is_local: bool) -> None:
    """Refuse to go on with a study that is not what it was when it began.

    Args:
        is_local: whether it would go on with the processes of this machine.

    Raises:
        ChangedStudy: names all that changed.
    """
    begun = next(read_events(run / "journal.jsonl", StudyBegun), None)
    if begun is None:
        return
    then, now = pinned(begun), dict(pins(checked))
    if not (is_local and begun.crew.get("kind") == "local" and checked.device.recorded is None):
        now.pop("machine")  # latencies are those of the device, wherever the others work
    changed = list(changes(then, now))
    if changed:
        raise ChangedStudy(run, next_run(run), changed)


def pinned(begun: StudyBegun) -> Json:
    """What the journal's `study` event says that a study is made of; older ones say less."""
    if begun.made_of is not None:
        return dict(begun.made_of)
    data, spec = dict(begun.data), begun.spec
    known = {key: getattr(begun, key) for key in ("objectives", "versions", "machine") if getattr(begun, key)}
    splits = {s: {"rows": data[s]} for s in SPLITS if s in data}
    known["data"] = {**{k: data[k] for k in ("fingerprint", "labels", "metric") if k in data}, **splits}
    known["settings"] = {name: spec[name] for name in SETTINGS if name in spec}
    return known | ({} if begun.knobs is None else {"space": {"knobs": begun.knobs}})


def changes(then: JsonView, now: JsonView) -> Iterator[str]:
    """What differs, in words; what one of the two does not say is not compared."""
    then, now = (json.loads(canonical(one)) for one in (then, now))
    both = {key: (then[key], now[key]) for key in now if key in then}
    if "data" in both:
        yield from _data(*both["data"])
    for part, called in (("model", "the model"), ("settings", "the study"), ("space", "the search space")):
        for key, old, new in _differing(*both.get(part, ({}, {}))):
            yield f"{called}: {_words(key, old, new)}"
    for part, called in (("objectives", "the objectives"), ("device", "the device profile")):
        if part in both and both[part][0] != both[part][1]:
            yield f"{called}: other values in the YAML file"
    if "machine" in both:
        yield from (f"the machine: {_words(*one)}" for one in _differing(*both["machine"]) if one[0] in LATENCIES)
    yield from _code(both)


def _data(then: JsonView, now: JsonView) -> Iterator[str]:
    explained = False
    for key, old, new in _differing(then, now):
        if key in SPLITS:
            if _differing(old, new):
                explained = True
                yield f"the data: {key} has {_rows(old, new)}"
        elif key != "fingerprint":
            explained = True
            yield f"the data: {_words(key, old, new)}"
    if not explained and then.get("fingerprint") != now.get("fingerprint"):
        yield "the data: as many rows, but other texts or labels"


def _rows(old: JsonView, new: JsonView) -> str:
    if old["rows"] != new["rows"]:
        return f"{new['rows']:,} rows, it had {old['rows']:,}"
    return f"{new['rows']:,} rows as before, but other texts or labels"


def _code(both: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    old, new = both.get("versions", ({}, {}))
    libraries = [n for n in COMPUTING if n in old and n in new and not same_version(old[n], new[n])]
    yield from (f"{name}: {old[name]} then, {new[name]} now" for name in libraries)
    kinds = [kind for kind, _, _ in _differing(*both.get("code", ({}, {})))]
    if kinds and not libraries:
        yield f"the code of autocomp, a plug-in or a library, which makes each {', '.join(kinds)}"


def _differing(then: JsonView, now: JsonView) -> list[tuple[str, Any, Any]]:
    return [(key, then[key], now[key]) for key in now if key in then and then[key] != now[key]]


def _words(key: str, old: Any, new: Any) -> str:
    """`seed: 0 then, 1 now`; of what is long or a hash, only that it is another one."""
    if isinstance(old, dict) and isinstance(new, dict):
        inner = ", ".join(sorted(k for k in {*old, *new} if old.get(k) != new.get(k)))
        return f"another {key} ({inner})"
    written = [json.dumps(value, ensure_ascii=False) for value in (old, new)]
    if max(map(len, written)) > MOST_LETTERS or key in ("weights", "tokenizer"):
        return f"another {key}" if isinstance(old, str) else f"other {key}"
    return f"{key} {written[0]} then, {written[1]} now"


def next_run(run: Path) -> Path:
    """The first of RUN-2, RUN-3 … that is not there."""
    run, number = Path(run), 2
    while run.with_name(f"{run.name}-{number}").exists():
        number += 1
    return run.with_name(f"{run.name}-{number}")
