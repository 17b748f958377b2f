"""Where parameters, arithmetic, time and memory go, component by component, as in the survey's Figure 3.

Ganesh et al., 2021, arXiv:2002.11985. `analytic` counts; `measured` runs the PyTorch encoder.

To see what each component allocates, this file relies on a module of torch with a private name: `TorchDispatchMode` is
the only way to see every operation's results on any device, and many libraries use it. It was read for torch 2.13, and
tests/packaging/test_insides.py fails when it changes.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from autocomp.architectures import COMPONENTS, EncoderShape, architectures, parts_of
from autocomp.architectures._encoder import Encoder
from autocomp.formats.factors import multiplies, stored_numbers
from autocomp.timing import CLOCK

_FLOAT_BYTES = 4


@dataclass(frozen=True)
class ComponentCost:
    """What one component holds and computes for one text.

    Attributes:
        component: one of `COMPONENTS`.
        parameters: weights, shared blocks counted once.
        bytes: of the parameters in FP32.
        macs: multiply-accumulates of its matrix products, at every depth.
        flops: twice the MACs.
    """

    component: str
    parameters: int
    bytes: int
    macs: int
    flops: int


@dataclass(frozen=True)
class ComponentTime:
    """What one component took in PyTorch for one text.

    Attributes:
        component: one of `COMPONENTS`, or `other` (residual additions, dropout, the loop itself).
        ms: median over the repeats of its time in all layers.
        spread_ms: interquartile range over the repeats.
        allocated_bytes: new tensors it made in one pass, over all layers.
        peak_bytes: the most it made in a single call, which is what must fit at once (of `other`: all of it).
    """

    component: str
    ms: float
    spread_ms: float
    allocated_bytes: int
    peak_bytes: int


def analytic(shape: EncoderShape, tokens: int) -> list[ComponentCost]:
    """Parameters and arithmetic of each component for one text of `tokens` tokens.

    The embeddings' norm counts as embedding, as in the survey. Norms, softmax, activations and biases are not counted
    as MACs. Weights of low rank count as the file stores and computes them, tokens where they still are.
    """
    ranks, architecture = dict(shape.ranks), architectures[shape.architecture]
    parameters, macs = Counter[str](), Counter[str](architecture.products_between_tokens(shape, tokens))
    for part in parts_of(shape):
        rank = ranks.get(part.name)
        if part.kind == "linear":
            rows, columns = part.size
            parameters[part.component] += stored_numbers(rank, rows, columns)
            macs[part.component] += multiplies(rank, rows, columns) * architecture.rows(shape, part, tokens)
        else:
            parameters[part.component] += math.prod(part.size)
    return [_cost(name, parameters[name], macs[name]) for name in COMPONENTS]


@torch.no_grad()
def measured(encoder: Encoder, tokens: int, repeats: int = 10, threads: int = 1) -> list[ComponentTime]:
    """Time and memory of each component of the PyTorch encoder for one text of `tokens` tokens.

    Args:
        encoder: is run in evaluation mode; its mode and torch's number of threads are put back.
        tokens: at most the encoder's positions.
        repeats: timed passes, after one that is not counted.
        threads: torch threads.
    """
    device = next(encoder.parameters()).device
    ids = torch.arange(tokens, device=device)[None] % encoder.shape.vocabulary
    meter = _Meter(device)
    with _quiet_state(encoder, threads), meter.attached(encoder):
        times = [meter.time(lambda: encoder(ids, torch.ones_like(ids))) for _ in range(repeats + 1)][1:]
        meter.weigh(lambda: encoder(ids, torch.ones_like(ids)))
    return [_component_time(name, [pass_.get(name, 0.0) for pass_ in times], meter) for name in (*COMPONENTS, "other")]


def _cost(component: str, parameters: int, macs: int) -> ComponentCost:
    return ComponentCost(component, parameters, parameters * _FLOAT_BYTES, macs, 2 * macs)


def _component_time(component: str, seconds: Sequence[float], meter: _Meter) -> ComponentTime:
    low, middle, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else [seconds[0]] * 3
    sizes = meter.sizes[component]
    return ComponentTime(component, 1e3 * middle, 1e3 * (high - low), sum(sizes), max(sizes, default=0))


@dataclass
class _Meter:
    """Charges time and new tensors to the component that runs, the innermost one when they nest."""

    device: torch.device
    running: list[str] = field(default_factory=lambda: ["other"])
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    sizes: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    last: float = 0.0

    def time(self, run: Callable[[], object]) -> dict[str, float]:
        """Seconds of each component in one pass."""
        self.seconds = defaultdict(float)
        self.last = self._now()
        run()
        self._charge()
        return dict(self.seconds)

    def weigh(self, run: Callable[[], object]) -> None:
        """Fill `sizes`: the bytes that each call of each component allocates in one pass."""
        self.sizes = defaultdict(list)
        with Allocations(self.allocated):
            run()

    @contextmanager
    def attached(self, encoder: Encoder) -> Iterator[None]:
        """Hooks on every module that begins a component."""
        handles = []
        for name, module in encoder.named_modules():
            component = _component_of(name)
            if component:
                handles.append(module.register_forward_pre_hook(self._entering(component)))
                handles.append(module.register_forward_hook(self._leaving))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _entering(self, component: str) -> Callable[[nn.Module, Any], None]:
        def enter(_module: nn.Module, _inputs: Any) -> None:
            self._charge()
            self.running.append(component)
            self.sizes[component].append(0)

        return enter

    def _leaving(self, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        self._charge()
        self.running.pop()

    def allocated(self, count: int) -> None:
        """Charge new bytes to the call that runs."""
        sizes = self.sizes[self.running[-1]]
        if not sizes:
            sizes.append(0)
        sizes[-1] += count

    def _charge(self) -> None:
        now = self._now()
        self.seconds[self.running[-1]] += now - self.last
        self.last = now

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return CLOCK()


def _component_of(name: str) -> str | None:
    """The component that the module of this name begins; None for modules inside one and containers."""
    parts = name.split(".")
    if parts[0] != "blocks":
        whole = {"embeddings": "embedding", "head": "head"}
        return "exits" if parts[0] == "exits" and len(parts) == 2 else whole.get(name)
    inside = {
        "attention": "attention",
        "attention.query": "linear_before_attention",
        "attention.key": "linear_before_attention",
        "attention.value": "linear_before_attention",
        "attention.output": "linear_after_attention",
        "attention_norm": "layer_norm",
        "feed_forward": "feed_forward",
        "feed_forward_norm": "layer_norm",
    }
    return inside.get(".".join(parts[2:]))


@contextmanager
def _quiet_state(encoder: Encoder, threads: int) -> Iterator[None]:
    """Evaluation mode and a number of threads, both put back."""
    training, before = encoder.training, torch.get_num_threads()
    encoder.eval()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        encoder.train(training)
        torch.set_num_threads(before)


class Allocations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation while it is entered, and counts the bytes of results that are no view of an argument."""

    def __init__(self, count: Callable[[int], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._count = count

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and count what it made."""
        result = func(*args, **(kwargs or {}))
        given = {_place(tensor) for tensor in tensors_of((args, kwargs))}
        made = {_place(tensor): tensor for tensor in tensors_of(result)}
        self._count(sum(t.untyped_storage().nbytes() for place, t in made.items() if place not in given))
        return result


def tensors_of(value: Any) -> Iterator[Tensor]:
    """Every tensor in nested lists, tuples and mappings."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple | Mapping):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from tensors_of(one)


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
