from collections import Counter
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch

from autocomp.architectures import BlockShape, EncoderShape
from autocomp.artifact.graph import INT8_OPERATORS, optimized, walk
from autocomp.artifact.runtime import open_session
from autocomp.artifact.writer import write_model
from autocomp.heads import HeadShape
from autocomp.models.encoder import plain_weights
from autocomp.models.linears import linear_groups
from autocomp.testing.models import scattered_encoder


def encoder_weights(encoder) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in plain_weights(encoder).items()}


def random_shape(rng: np.random.Generator) -> EncoderShape:
    blocks = tuple(
        BlockShape(int(rng.integers(1, 5)), int(rng.choice([4, 8, 13])), int(rng.choice([16, 24, 48])))
        for _ in range(rng.integers(1, 4))
    )
    depth = int(rng.integers(1, 6))
    order = tuple(int(b) for b in rng.integers(0, len(blocks), depth))
    exits = tuple(sorted(int(d) for d in rng.choice(depth, rng.integers(0, depth), replace=False)))
    shape = EncoderShape(
        vocabulary=50,
        positions=20,
        token_types=int(rng.integers(0, 3)),
        embedding_size=int(rng.choice([16, 24, 32])),
        hidden=int(rng.choice([16, 32])),
        blocks=blocks,
        order=order,
        head=HeadShape(int(rng.integers(2, 5)), rng.choice([None, 16, 32]), str(rng.choice(["tanh", "gelu", "relu"]))),
        exits=exits,
        activation=str(rng.choice(["gelu", "gelu_tanh", "relu"])),
        tokens=tuple(float(f) for f in rng.choice([0.2, 0.5, 0.77, 1.0], depth)) if rng.random() < 0.5 else (),
        local_layers=int(rng.integers(0, depth)),
    )
    names = [name for group in linear_groups(shape).values() for name in group]
    some = sorted(rng.choice(names, rng.integers(0, len(names)), replace=False).tolist())
    return shape.with_(ranks=tuple((name, int(rng.integers(1, 9))) for name in some))


def random_encoder_and_weights(shape: EncoderShape, seed: int = 0):
    encoder = scattered_encoder(shape, torch.Generator().manual_seed(seed))
    return encoder, encoder_weights(encoder)


def random_batch(rng: np.random.Generator, shape: EncoderShape, pairs: bool, rows: int = 3) -> dict[str, np.ndarray]:
    tokens = int(rng.integers(2, shape.positions + 1))
    lengths = rng.integers(1, tokens + 1, rows)
    lengths[0] = tokens
    mask = (np.arange(tokens)[None] < lengths[:, None]).astype(np.int64)
    inputs = {"input_ids": rng.integers(1, shape.vocabulary, mask.shape) * mask, "attention_mask": mask}
    if pairs and shape.token_types > 1:
        inputs["token_type_ids"] = rng.integers(0, 2, mask.shape) * mask
    return inputs


def run(
    model: onnx.ModelProto, inputs: dict[str, np.ndarray], exit_threshold: float | None = None
) -> dict[str, np.ndarray]:
    session = open_session(model.SerializeToString(), exit_threshold=exit_threshold)
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs), strict=True))


def exit_logits(shape: EncoderShape, weights, inputs, pairs: bool, formats=None) -> dict[int, np.ndarray]:
    """`{depth: logits}` of every exit: a file of its own for each, which leaves there whatever it sees."""
    models = {
        depth: write_model(shape.with_(exits=(depth,)), weights, formats or {}, pairs=pairs, exit_threshold=0.0)
        for depth in shape.exits
    }
    return {depth: run(model, inputs)["logits"] for depth, model in models.items()}


def operators(model: onnx.ModelProto | bytes | str) -> Counter[str]:
    """Operator types after the session's optimisation, those inside the branches of `If` included."""
    return Counter(node.op_type for node, _ in walk(optimized(model).graph))


def int8_products(running: Counter[str]) -> int:
    """How many matrix products run in int8."""
    return sum(running[kind] for kind in INT8_OPERATORS)


@torch.no_grad()
def torch_outputs(encoder, inputs: dict[str, np.ndarray]):
    return encoder(**{name: torch.from_numpy(value) for name, value in inputs.items()})


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """Random shapes, encoders and batches, and how to run them."""
    return SimpleNamespace(
        shape=random_shape,
        encoder=random_encoder_and_weights,
        batch=random_batch,
        run=run,
        exit_logits=exit_logits,
        operators=operators,
        int8_products=int8_products,
        torch_outputs=torch_outputs,
    )
