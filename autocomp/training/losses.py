"""Distillation losses; all means over texts, so that weights mean the same at every batch size."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def soft_labels(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL of the student's softened predictions from the teacher's, times temperature squared (arXiv:1503.02531).

    student, teacher: `[B, C]` logits.
    """
    p, q = F.log_softmax(teacher / temperature, -1), F.log_softmax(student / temperature, -1)
    return F.kl_div(q, p, log_target=True, reduction="batchmean") * temperature**2


def word_averages(units: Tensor, words: int) -> Tensor:
    """`[B, words, N]` matrices that average a text's tokens over each of its words.

    units: `[B, N]` word number of each token, -1 at padding. Words beyond `words` are left out.
    """
    belongs = units[:, None, :] == torch.arange(words, device=units.device)[None, :, None]
    return belongs.float() / belongs.sum(-1, keepdim=True).clamp(min=1)


def hidden_distance(student: Tensor, teacher: Tensor, seen: Tensor) -> Tensor:
    """Squared error between states of words `[B, W, H]`, over the teacher's mean square, where `seen` `[B, W]`."""
    error = ((student - teacher).square().mean(-1) * seen).sum() / seen.sum()
    return error / teacher[seen].square().mean().clamp(min=1e-6)


def relation_distance(student: Tensor, teacher: Tensor, seen: Tensor, relations: int) -> Tensor:
    """KL between self-relations softmax(x x^T / sqrt(d)) of words (MiniLMv2, arXiv:2012.15828, section 3.1).

    student, teacher: `[B, W, D]` queries, keys or values of all heads side by side, of any two widths that
    `relations` divides; seen: `[B, W]`.
    """
    p, q = (_relation(x, seen, relations) for x in (teacher, student))
    divergence = (p.exp() * (p - q)).masked_fill(~seen[:, None, None, :], 0.0).sum(-1)
    return (divergence * seen[:, None, :]).sum() / (seen.sum() * relations)


def _relation(x: Tensor, seen: Tensor, relations: int) -> Tensor:
    batch, words, width = x.shape
    parts = x.view(batch, words, relations, width // relations).transpose(1, 2)
    scores = parts @ parts.transpose(-1, -2) / math.sqrt(width // relations)
    return scores.masked_fill(~seen[:, None, None, :], -1e4).log_softmax(-1)
