"""From a shape and its weights to one ONNX file that unpacks itself and may leave early; and plain int8 to beat."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from autocomp.architectures import EncoderShape, architectures
from autocomp.artifact import layers
from autocomp.artifact.graph import Graph
from autocomp.artifact.runtime import int8_products_overflow
from autocomp.artifact.tokens import Tokens, weigh_tokens
from autocomp.artifact.weights import WeightStore
from autocomp.exit_rules import DEFAULT, exit_rules
from autocomp.formats import WeightFormat
from autocomp.formats.factors import with_factors
from autocomp.formats.numbers import Encoded
from autocomp.heads import heads

THRESHOLD = "exit_threshold"
"""Float32 scalar initializer: when an exit is taken; what it means depends on the rule.

It is no input: of an input with a default ONNX Runtime warns at every load. `SessionOptions.add_initializer` puts
another value in its place, so nothing that reads it may be known at load.
"""
SINCE = ((10, 21, "1.18"), (11, 23, "1.23"))
"""IR version, opset, and the oldest ONNX Runtime that opens files of both; tried with 1.17 to 1.24 and 1.32.

Opset 23 has ONNX's own Attention. With it written out, which 1.18 opens, files of MiniLM's shape take 5 to 13 % longer
at 8 to 128 tokens (minima of 60 runs in turns on a Zen 4, ONNX Runtime 1.32).
"""
QUANTIZED = ("MatMul", "Gather")
"""Operators that plain int8 quantizes; ONNX's Attention would be taken for the runtime's own operator of that name."""


def write_model(
    shape: EncoderShape,
    weights: Mapping[str, np.ndarray],
    formats: Mapping[str, WeightFormat],
    *,
    pairs: bool,
    exit_threshold: float | None = None,
    exit_rule: str = DEFAULT,
    codes: Mapping[str, Encoded] | None = None,
) -> onnx.ModelProto:
    """The model as ONNX.

    Inputs: `input_ids`, `attention_mask` (int64 `[batch, tokens]`), `token_type_ids` when `pairs` and the shape has
    more than one token type. Outputs: `logits` `[batch, labels]` and `exit_depth` (int64 scalar, layers run).

    Args:
        weights: float arrays by the encoder's parameter names.
        formats: storage by parameter name; absent is FP32. Linears of 8 bits or less run in int8.
        pairs: texts come as pairs. If not, token type 0 is folded into the positions.
        exit_threshold: leave after an exit when every row of the batch is sure by it; it becomes the initializer
            `exit_threshold`. None leaves the exits out of the file.
        exit_rule: what being sure means, a name of `autocomp.exit_rules`.
        codes: what to store instead of rounding the weights, by parameter name and in the formats given.

    Raises:
        ExportMismatch: a weight is missing, or a format is given for something that is not a matrix.
        InfeasiblePlan: a format that no packing stores.
        UnknownName: there is no such exit rule.
    """
    weights, formats = with_factors(dict(shape.ranks), weights, formats)
    store, takes_types = WeightStore(weights, formats, codes or {}), pairs and shape.token_types > 1
    return _Writer(shape, store, takes_types, exit_threshold, exit_rule).model()


@dataclass(frozen=True)
class _HeadBuilder:
    """What a head writes itself with: a `LayerBuilder` behind the last layer."""

    graph: Graph
    store: WeightStore
    states: str
    tokens: Tokens

    def first(self) -> str:
        """The first token's state."""
        return layers.first_token(self.graph, self.states)

    def mean(self) -> str:
        """The mean of the tokens' states."""
        return layers.token_mean(self.graph, self.states, self.tokens)

    def linear(self, x: str, name: str) -> str:
        """A linear of the head."""
        return layers.linear(self.graph, self.store, x, name)

    def activation(self, x: str, name: str) -> str:
        """An activation."""
        return layers.activation(self.graph, x, name)

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        """One operator."""
        return self.graph.op(kind, *inputs, **attributes)

    def constant(self, value: np.ndarray) -> str:
        """A constant."""
        return self.graph.constant(value)


@dataclass(frozen=True)
class _EncoderBuilder(_HeadBuilder):
    """What an architecture writes itself with: an `EncoderBuilder` before its first node."""

    writer: _Writer

    @property
    def ids(self) -> str:
        """The input of that name."""
        return "input_ids"

    def look_up(self, name: str, ids: str) -> str:
        """Rows of a table, in its format."""
        return self.store.look_up(self.graph, name, ids)

    def vector(self, name: str) -> str:
        """A vector in FP32."""
        return self.store.vector(self.graph, name)

    def head(self, states: str, scores: str | None = None) -> str:
        """The head's nodes."""
        if scores is not None:
            weigh_tokens(self.graph, self.tokens, scores)
        shape = self.writer.shape.head
        return heads[shape.kind].write(_HeadBuilder(self.graph, self.store, states, self.tokens), shape)

    def layers(self) -> tuple[str, str]:
        """The layers of a Transformer."""
        return self.writer.run_layers(self.graph, self.tokens)


@dataclass(frozen=True)
class _Writer:
    shape: EncoderShape
    store: WeightStore
    takes_types: bool
    threshold: float | None
    rule: str = DEFAULT

    def model(self) -> onnx.ModelProto:
        graph = Graph()
        tokens = Tokens("attention_mask", "token_type_ids" if self.takes_types else None)
        build = _EncoderBuilder(graph, self.store, "", tokens, self)
        logits, depth = architectures[self.shape.architecture].write(build, self.shape)
        graph.rename(logits, "logits")
        graph.rename(depth, "exit_depth")
        if self.threshold is not None and self.shape.exits:
            graph.initializers.append(onnx.numpy_helper.from_array(np.array(self.threshold, np.float32), THRESHOLD))
        return graph.to_model(self._inputs(), self._outputs("logits", "exit_depth"))

    def run_layers(self, graph: Graph, tokens: Tokens) -> tuple[str, str]:
        """The layers of a Transformer: the name of its outputs, and of how many layers ran."""
        return self._run(graph, (self._embed(graph), tokens), range(self.shape.depth))

    def _run(self, graph: Graph, state: layers.State, depths: range, passed: tuple[str, ...] = ()) -> tuple[str, str]:
        """The layers at `depths`, up to the next exit, which nests the rest in a branch.

        Args:
            passed: logits of the exits before.
        """
        for depth in depths:
            if self._may_leave(depth) and (not passed or depth > depths.start):
                return self._leave_or_go_on(graph, state, depth, passed)
            state = layers.block(graph, self.store, *state, self.shape, depth)
        return self._answer(graph, state), graph.constant(np.array(self.shape.depth))

    def _may_leave(self, depth: int) -> bool:
        return self.threshold is not None and depth in self.shape.exits

    def _leave_or_go_on(
        self, graph: Graph, state: layers.State, depth: int, before: tuple[str, ...]
    ) -> tuple[str, str]:
        logits = layers.exit_head(graph, self.store, *state, f"exits.{depth}")
        passed = (*before, logits)
        sure = exit_rules[self.rule].write(graph, passed, self.shape.head.labels, THRESHOLD)
        leave, go_on = graph.branch(), graph.branch()
        leaving = (logits, leave.constant(np.array(depth)))
        going = self._run(go_on, state, range(depth, self.shape.depth), passed)
        branches = {
            "then_branch": self._branch(leave, "leave", leaving),
            "else_branch": self._branch(go_on, "go_on", going),
        }
        chosen, depth_run = graph.ops("If", 2, sure, **branches)
        return chosen, depth_run

    def _branch(self, graph: Graph, name: str, results: tuple[str, str]) -> onnx.GraphProto:
        """A branch's outputs must be made inside it, hence the Identity."""
        logits, depth = (graph.op("Identity", value) for value in results)
        return graph.to_subgraph(name, self._outputs(logits, depth))

    def _embed(self, graph: Graph) -> str:
        x = self.store.look_up(graph, "embeddings.word.weight", "input_ids")
        x = graph.op("Add", x, self._positions(graph))
        if self.takes_types:
            x = graph.op("Add", x, self.store.look_up(graph, "embeddings.token_type.weight", "token_type_ids"))
        x = layers.layer_norm(graph, self.store, x, "embeddings.norm", self.shape.norm_epsilon)
        if self.shape.embedding_size != self.shape.hidden:
            x = layers.linear(graph, self.store, x, "embeddings.projection")
        return x

    def _positions(self, graph: Graph) -> str:
        folds_type = self.shape.token_types > 0 and not self.takes_types
        row = self.store.array("embeddings.token_type.weight")[0] if folds_type else None
        table = self.store.table(graph, "embeddings.position.weight", row)
        tokens = graph.op("Shape", "input_ids", start=1, end=2)
        zero = graph.constant(np.array([0]))
        return graph.op("Slice", table, zero, tokens, zero)

    def _answer(self, graph: Graph, state: layers.State) -> str:
        head = self.shape.head
        return heads[head.kind].write(_HeadBuilder(graph, self.store, *state), head)

    def _inputs(self) -> list[onnx.ValueInfoProto]:
        names = ["input_ids", "attention_mask", *(["token_type_ids"] if self.takes_types else [])]
        return [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in names]

    def _outputs(self, logits: str, depth: str) -> list[onnx.ValueInfoProto]:
        labels = self.shape.head.labels
        return [
            helper.make_tensor_value_info(logits, TensorProto.FLOAT, ["batch", labels]),
            helper.make_tensor_value_info(depth, TensorProto.INT64, []),
        ]


def requires_of(model: onnx.ModelProto) -> dict[str, str]:
    """Which runtime a model needs, as a manifest has it under `requires`: `{"onnxruntime": ">=1.23"}`.

    For a file newer than all that were tried it is the installed version, which checked the file.
    """
    opset = max(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    fits = [version for ir, most, version in SINCE if model.ir_version <= ir and opset <= most]
    return {"onnxruntime": f">={fits[0] if fits else onnxruntime.__version__}"}


def plain_int8(fp32_model: onnx.ModelProto) -> onnx.ModelProto:
    """Dynamic int8 in its strong form: signed weights, one scale per channel, embeddings included.

    Unsigned weights run half as fast, and one scale per tensor loses a point of accuracy (measured on SST-2). Where
    int8 products overflow, weights have 7 bits, as the runtime's makers advise.

    Args:
        fp32_model: as `write_model` gives it without formats and without exits.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, _quiet():
        file = Path(folder) / "int8.onnx"
        copy = onnx.ModelProto()
        copy.CopyFrom(fp32_model)  # the quantizer works in place
        strong = {"weight_type": QuantType.QInt8, "per_channel": True, "reduce_range": int8_products_overflow()}
        quantize_dynamic(copy, file, list(QUANTIZED), **strong)
        return onnx.load(file)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out the advice to pre-process the model, which concerns models from other exporters."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
