"""What is read from a file is what was written into it."""

import numpy as np
import pytest

from autocomp.artifact.writer import plain_int8, write_model
from autocomp.formats import WeightFormat
from autocomp.formats.numbers import encode, stored_bytes
from autocomp.inspection.stored import stored_weights
from autocomp.testing.models import tiny_shape

SHAPE = tiny_shape(layers=1, exits=(0,))
FORMATS = [WeightFormat(bits, sparse) for bits in (2, 3, 4, 7, 8) for sparse in (False, True)]
FORMATS += [WeightFormat(3, group=16, outliers=0.01), WeightFormat(8, group=0), WeightFormat(4, numbers="adaptivfloat")]
FORMATS += [WeightFormat(2, numbers="levels"), WeightFormat(4, True, numbers="levels")]
FORMATS += [WeightFormat(3, numbers="codebook"), WeightFormat(5, True, numbers="codebook")]
FORMATS += [WeightFormat(16, numbers="float16"), WeightFormat(16, numbers="bfloat16"), WeightFormat(32)]


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_every_format_is_read_back(kit, format):
    _, weights = kit.encoder(SHAPE)
    if format.sparse:
        weights = {n: np.where(np.abs(w) < 0.2, 0, w) if w.ndim == 2 else w for n, w in weights.items()}
    matrices = [n for n, w in weights.items() if w.ndim == 2 and w.size > 100]
    model = write_model(SHAPE, weights, dict.fromkeys(matrices, format), pairs=True, exit_threshold=0.9)
    found = {stored.name: stored for stored in stored_weights(model)}
    assert set(found) == set(weights)
    assert {n: found[n].size for n in weights} == {n: w.size for n, w in weights.items()}
    assert {found[n].bits for n in matrices} == {format.bits}
    assert {found[n].numbers for n in matrices} == {"float32" if format.bits == 32 else format.numbers}
    nonzeros = {n: np.count_nonzero(encode(weights[n], format).codes) for n in matrices}
    assert {found[n].values for n in matrices} == {nonzeros[n] if format.sparse else weights[n].size for n in matrices}
    expected = [stored_bytes(weights[n].shape, format, nonzeros[n] if format.sparse else None) for n in matrices]
    # Equal tables and powers of two are stored once.
    room = 200 if format.numbers in ("adaptivfloat", "levels") else 0
    assert abs(sum(found[n].nbytes for n in matrices) - sum(expected)) <= room


def test_masked_zeros_are_stored_values_and_shared_tensors_count_once(kit):
    shape = tiny_shape(layers=2).with_(order=(0, 1, 0))
    _, weights = kit.encoder(shape)
    weights = {n: np.where(np.abs(w) < 0.2, 0, w) if w.ndim == 2 else w for n, w in weights.items()}
    name = "blocks.0.attention.key.weight"
    dense = stored_weights(write_model(shape, weights, {name: WeightFormat(8)}, pairs=True))
    assert sum(w.size for w in dense) == sum(w.values for w in dense) == sum(w.size for w in weights.values())
    same = {**weights, name: weights["blocks.0.attention.query.weight"]}
    shared = stored_weights(write_model(shape, same, {}, pairs=True))
    assert sum(w.size for w in shared) == sum(w.size for w in weights.values()) - weights[name].size


def test_factors_and_the_baseline(kit):
    name = "blocks.0.feed_forward.input.weight"
    shape = tiny_shape(layers=1).with_(ranks=((name, 5),))
    _, weights = kit.encoder(shape)
    found = {w.name: w for w in stored_weights(write_model(shape, weights, {name: WeightFormat(4)}, pairs=True))}
    assert (found[f"{name}.up"].size, found[f"{name}.down"].size) == (64 * 5, 5 * 32)
    assert {found[f"{name}.{part}"].bits for part in ("up", "down")} == {4} and name not in found
    plain = {w.name: w for w in stored_weights(plain_int8(write_model(shape.with_(ranks=()), weights, {}, pairs=True)))}
    assert (plain[name].bits, plain[name].size, plain[name].numbers) == (8, 64 * 32, "integer")
