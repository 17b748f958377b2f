"""The heads' probabilities, as the rules' numpy side computes them."""

from __future__ import annotations

import numpy as np


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    result: np.ndarray = np.exp(log_softmax(logits))
    return result
