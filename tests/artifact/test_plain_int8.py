import numpy as np
import onnx

from autocomp.architectures import BlockShape
from autocomp.artifact.writer import plain_int8, write_model
from autocomp.formats import WeightFormat
from autocomp.testing.models import tiny_shape


def test_plain_int8_runs_int8_and_is_about_four_times_smaller(kit, rng):
    wide = (BlockShape(4, 32, 512),) * 2
    shape = tiny_shape(vocabulary=2000).with_(hidden=128, embedding_size=128, blocks=wide, order=(0, 1))
    _, weights = kit.encoder(shape)
    inputs = kit.batch(rng, shape, pairs=False)
    fp32 = write_model(shape, weights, {}, pairs=False)
    before = fp32.SerializeToString()
    int8 = plain_int8(fp32)
    assert fp32.SerializeToString() == before, "the given model is not changed"
    assert int8.ByteSize() < fp32.ByteSize() / 3.5
    # All linears but, with batch 1 and two dimensions, those of the head, which the session may fuse otherwise.
    assert kit.int8_products(kit.operators(int8)) >= 6 * shape.depth
    table = next(t for t in int8.graph.initializer if list(t.dims) == [2000, 128])
    assert table.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
    expected = kit.run(fp32, inputs)["logits"]
    assert np.sqrt(((kit.run(int8, inputs)["logits"] - expected) ** 2).mean()) < 0.2 * expected.std() + 0.02


def test_our_int8_is_no_larger_than_plain_int8(kit):
    wide = (BlockShape(4, 32, 512),) * 2
    shape = tiny_shape(vocabulary=2000).with_(hidden=128, embedding_size=128, blocks=wide, order=(0, 1))
    _, weights = kit.encoder(shape)
    formats = {n: WeightFormat(8) for n, w in weights.items() if w.ndim == 2 and "token_type" not in n}
    ours = write_model(shape, weights, formats, pairs=False).ByteSize()
    assert ours <= plain_int8(write_model(shape, weights, {}, pairs=False)).ByteSize()
