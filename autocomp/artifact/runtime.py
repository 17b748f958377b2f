"""The one place where ONNX Runtime sessions are made, so that everything is timed and scored under the same options."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from autocomp.errors import ArtifactError


def open_session(
    model: bytes | str | Path,
    threads: int = 1,
    optimized_to: str | Path | None = None,
    *,
    weights_to: str | None = None,
    profile_to: str | Path | None = None,
    is_optimized: bool = False,
    exit_threshold: float | None = None,
    requires: str | None = None,
) -> onnxruntime.InferenceSession:
    """A session on the CPU, all optimisations on.

    Args:
        model: the file's bytes or its path.
        threads: threads inside one operator; operators run one after another.
        optimized_to: where to save the graph after optimisation, for inspection.
        weights_to: name of a file beside it for its tensors, which the runtime then maps instead of reading.
        profile_to: prefix of a file of times, written by `session.end_profiling()`.
        is_optimized: the model is such a saved graph; it runs as it is.
        exit_threshold: instead of the model's own; a model without exits has none to replace.
        requires: the oldest version that opens the model, as far as that is known: `1.23`.

    Raises:
        ArtifactError: the runtime cannot read the model.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    # Threads that spin for more work after a run take the core from whatever runs next, another file's timing too.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if optimized_to is not None:
        options.optimized_model_filepath = str(optimized_to)
    if weights_to is not None:
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", weights_to)
        options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
    if profile_to is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile_to)
    if is_optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    given = _with_threshold(options, exit_threshold)
    source = model if isinstance(model, bytes) else str(model)
    try:
        # Its fallback is to print an apology to stdout and to try the same again.
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # the runtime's exceptions have no common public base
        raise ArtifactError(
            f"{_too_old(requires)}ONNX Runtime {onnxruntime.__version__} cannot load the model: {error}"
        ) from error
    session.given = given  # the runtime does not keep it, and reads it as long as it runs
    return session


def _with_threshold(options: onnxruntime.SessionOptions, threshold: float | None) -> Any:
    """The value that stands for the model's threshold, which has to outlive the session."""
    if threshold is None:
        return None
    value = onnxruntime.OrtValue.ortvalue_from_numpy(np.array(threshold, np.float32))
    options.add_initializer("exit_threshold", value)
    return value


def _too_old(requires: str | None) -> str:
    installed = str(onnxruntime.__version__)
    if requires is None or _numbers(installed) >= _numbers(requires):
        return ""
    return (
        f"the model needs onnxruntime >= {requires}, and {installed} is installed: "
        f"`pip install 'onnxruntime>={requires}'`. "
    )


def _numbers(version: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", version)[:2]]


def int8_products_overflow() -> bool:
    """Whether large int8 products overflow on this machine (`formats/quantize.py`): a known one is computed."""
    from onnx import TensorProto, helper, numpy_helper  # a file that is only run needs no onnx

    weight = numpy_helper.from_array(np.full((4, 16), 127, np.int8), "weight")
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 4])
    y = helper.make_tensor_value_info("y", TensorProto.INT32, [1, 16])
    graph = helper.make_graph([helper.make_node("MatMulInteger", ["x", "weight"], ["y"])], "probe", [x], [y], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    product = open_session(model.SerializeToString()).run(None, {"x": np.full((1, 4), 255, np.uint8)})[0]
    return bool((product != 4 * 127 * 255).any())
