"""Does a fine-tuned head choose one label of several? autocomp compresses no other kind of model."""

from __future__ import annotations

from typing import Any

from autocomp.errors import ModelError


def check_problem(config: Any, source: str) -> None:
    """Refuse a fine-tuned model whose logits are no single choice.

    Raises:
        ModelError: `problem_type`, an architecture's name, `function_to_apply` or a single label says so.
    """
    kind = getattr(config, "problem_type", None)
    architectures = getattr(config, "architectures", None) or []
    several = next((name for name in architectures if "multilabel" in name.lower()), None)
    applied = getattr(config, "function_to_apply", None)
    if kind == "multi_label_classification" or several or applied == "sigmoid":
        said = f"problem_type {kind!r}" if kind else several or f"function_to_apply {applied!r}"
        raise ModelError(
            f"{source!r} answers each label with yes or no ({said}); autocomp compresses models that choose "
            "one label: give such a model, or one that is not fine-tuned"
        )
    if kind == "regression" or len(config.id2label) == 1:
        said = f"problem_type {kind!r}" if kind == "regression" else "num_labels 1"
        raise ModelError(
            f"{source!r} gives one number, which is a regression ({said}); autocomp compresses models that choose "
            "one of several labels: give such a model, or one that is not fine-tuned"
        )
