"""Where does the time go? ONNX Runtime's own profile of the graph that it runs."""

from __future__ import annotations

import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from autocomp.artifact.graph import walk
from autocomp.artifact.runtime import open_session
from autocomp.strict_json import JsonView

Shapes = Sequence[Sequence[int]]
_KERNEL = "_kernel_time"


@dataclass(frozen=True)
class NodeTime:
    """One node of the running graph, summed over texts.

    Attributes:
        operator: its type.
        us: microseconds, the median over rounds of each text; profiling itself adds a little to every node.
        rows: rows of its first output: the product of all sizes but the last.
    """

    operator: str
    us: float
    rows: int


def node_times(
    running: onnx.ModelProto, texts: Sequence[Mapping[str, np.ndarray]], rounds: int = 5
) -> dict[str, NodeTime]:
    """Times by the name of each node's first output; a node in a branch that no text took is left out.

    Args:
        running: a graph from `optimized`.
        texts: inputs of the file, by name.
    """
    return _summed(kernels(running, texts, rounds), len(texts))


@dataclass(frozen=True)
class Kernel:
    """One kernel of one run.

    Attributes:
        name: of its node's first output.
        operator: its node's type.
        us: microseconds.
        inputs: shapes of what it read, as far as the runtime reports them.
        outputs: shapes of what it made.
        output_bytes: bytes of that.
    """

    name: str
    operator: str
    us: float
    inputs: Shapes
    outputs: Shapes
    output_bytes: float

    @property
    def rows(self) -> int:
        """Rows of its first output: the product of all sizes but the last."""
        return math.prod(self.outputs[0][:-1]) if self.outputs else 0


def kernels(running: onnx.ModelProto, texts: Sequence[Mapping[str, np.ndarray]], rounds: int = 0) -> list[list[Kernel]]:
    """The kernels of each run: all texts in turn, once to warm up and `rounds` times more; an `If` is its branch.

    Args:
        running: a graph from `optimized`.
        texts: inputs of the file, by name.
    """
    named = onnx.ModelProto()
    named.CopyFrom(running)
    for node, _ in walk(named.graph):
        node.name = node.output[0]
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder) / "profile"
        session = open_session(named.SerializeToString(), profile_to=prefix, is_optimized=True)
        for _ in range(rounds + 1):
            for text in texts:
                session.run(None, dict(text))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return _by_run(events)


def _by_run(events: Sequence[JsonView]) -> list[list[Kernel]]:
    """Kernels by run; a run's own event comes after those of its nodes."""
    runs: list[list[Kernel]] = [[]]
    for event in events:
        if event["name"] == "model_run":
            runs.append([])
        elif event["name"].endswith(_KERNEL) and event["args"]["op_name"] != "If":
            runs[-1].append(_kernel(event))
    return runs[:-1]


def _kernel(event: JsonView) -> Kernel:
    """A kernel as ONNX Runtime reports it."""
    facts = event["args"]
    inputs, outputs = (_shapes(facts.get(f"{side}_type_shape", ())) for side in ("input", "output"))
    name, us = event["name"].removesuffix(_KERNEL), float(event["dur"])
    return Kernel(name, facts["op_name"], us, inputs, outputs, float(facts.get("output_size", 0)))


def _shapes(described: Sequence[Mapping[str, Sequence[int]]]) -> Shapes:
    """`[{"float": [1, 16, 384]}]`: `[[1, 16, 384]]`."""
    return [shape for one in described for shape in one.values()]


def _summed(runs: Sequence[Sequence[Kernel]], texts: int) -> dict[str, NodeTime]:
    taken: dict[tuple[str, int], list[float]] = defaultdict(list)
    seen: dict[tuple[str, int], tuple[str, int]] = {}
    for number, run in enumerate(runs[texts:]):  # the first round warms up
        for kernel in run:
            key = (kernel.name, number % texts)
            taken[key].append(kernel.us)
            seen[key] = kernel.operator, kernel.rows
    found: dict[str, NodeTime] = {}
    for (name, _), us in taken.items():
        before = found.get(name, NodeTime("", 0.0, 0))
        found[name] = NodeTime("", before.us + float(np.median(us)), before.rows)
    for (name, _), (operator, rows) in seen.items():
        found[name] = NodeTime(operator, found[name].us, found[name].rows + rows)
    return found
