"""Try a model: the same file that was measured answers one text, timed as it was."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autocomp.heads import AnswerJson
from autocomp.serving.requests import Refused
from autocomp.timing import once

if TYPE_CHECKING:
    from autocomp.artifact.loader import Predictor

KEPT = 4
"""Models that stay open: the teacher and the last few members."""
Text = str | tuple[str, str]


@dataclass
class _Open:
    predictor: Predictor
    depth: int


class Answer(AnswerJson):
    """What a file says of a text: the layers that ran of all that it has, and milliseconds of the run."""

    exit_depth: int
    depth: int
    ms: float
    tokens: int


class Trying:
    """Opened models, one thread each; one text at a time, so that none slows another's time."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._models: OrderedDict[tuple[str, int, int], _Open] = OrderedDict()

    def answer(self, folder: Path, text: Text) -> Answer:
        """What the artifact in `folder` says of a text, how deep it went and how long it took.

        Raises:
            Refused: a pair for a model of single texts, or the other way round.
            ArtifactError: the files are damaged.
        """
        with self._guard:
            model = self._opened(folder)
            _check_pair(model.predictor, text)
            inputs = model.predictor.batches([text])[0]
            model.predictor.run(inputs)  # warms up for this length
            _, taken_ms = once(model.predictor.run, inputs)
            found = model.predictor.predict([text])[0]
        return {
            **found.to_json(model.predictor.head.answer_key),
            "exit_depth": found.exit_depth,
            "depth": model.depth,
            "ms": taken_ms,
            "tokens": int(inputs["input_ids"].shape[1]),
        }

    def _opened(self, folder: Path) -> _Open:
        manifest = (folder / "manifest.json").stat()
        key = (str(folder), manifest.st_mtime_ns, manifest.st_size)
        if key not in self._models:
            self._models[key] = _open(folder)
        self._models.move_to_end(key)
        while len(self._models) > KEPT:
            self._models.popitem(last=False)
        return self._models[key]


def _open(folder: Path) -> _Open:
    import autocomp

    predictor: Predictor = autocomp.load(folder, threads=1)
    # With exits the number of layers is what runs when none is taken.
    whole = autocomp.load(folder, exit_threshold="never") if predictor.has_exits else predictor
    text: Text = ("a", "b") if predictor.manifest["pairs"] else "a"
    return _Open(predictor, whole.predict([text])[0].exit_depth)


def _check_pair(predictor: Predictor, text: Text) -> None:
    if predictor.manifest["pairs"] and isinstance(text, str):
        raise Refused(400, "this model takes two texts: give text and pair")
    if not predictor.manifest["pairs"] and not isinstance(text, str):
        raise Refused(400, "this model takes one text: leave pair out")
