"""Removing parts of an encoder for good: every function builds a new encoder and leaves its argument as it was.

What stays keeps its weights exactly. An effective value is kept where a weight is parametrized; the parametrization
itself is not, but for those of `EncoderShape.ranks`, which go with their weights. Fractions of `tokens` stay with their
layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from autocomp.architectures import BlockShape, EncoderShape, keep, parts_of
from autocomp.architectures._encoder import Encoder
from autocomp.errors import InfeasiblePlan
from autocomp.formats.factors import is_smaller
from autocomp.models.encoder import encoder_like, plain_weights

T = TypeVar("T")


def keep_layers(encoder: Encoder, kept: Sequence[int]) -> Encoder:
    """Keep the layers at these depths (0 is the first), in ascending order.

    Blocks that no kept depth runs go away; shared blocks stay shared. An exit after a layer stays with its layer,
    and goes away when its layer does or becomes the last. A kept layer lets the same fraction of its tokens go on. Of
    local layers the last one kept is none: the classifier would see one text of a pair only.

    Raises:
        InfeasiblePlan: `kept` is empty, not ascending, or out of range.
    """
    shape = encoder.shape
    _check("layers", kept, shape.depth)
    if list(kept) != sorted(kept):
        raise InfeasiblePlan(f"layers to keep = {list(kept)}, but they must be ascending")
    blocks = list(dict.fromkeys(shape.order[depth] for depth in kept))
    exits = {depth: _exit_after(depth, kept) for depth in shape.exits}
    exits = {old: new for old, new in exits.items() if new is not None and new < len(kept)}
    new_shape = shape.with_(
        blocks=tuple(shape.blocks[block] for block in blocks),
        order=tuple(blocks.index(shape.order[depth]) for depth in kept),
        exits=tuple(exits.values()),
        tokens=tuple(shape.tokens[depth] for depth in kept) if shape.tokens else (),
        local_layers=min(sum(depth < shape.local_layers for depth in kept), len(kept) - 1),
    )
    renamed = {f"blocks.{old}.": f"blocks.{new}." for new, old in enumerate(blocks)}
    ranks = _renamed(dict(shape.ranks), renamed)
    renamed |= {f"exits.{old}.": f"exits.{new}." for old, new in exits.items()}
    return _rebuilt(encoder, new_shape, _renamed(plain_weights(encoder), renamed), ranks)


def keep_heads(encoder: Encoder, block: int, kept: Sequence[int]) -> Encoder:
    """Keep these attention heads of one block (of weights: a shared block changes wherever it runs).

    Raises:
        InfeasiblePlan: `kept` is empty, repeats or is out of range.
    """
    old = encoder.shape.blocks[block]
    _check(f"heads of block {block}", kept, old.heads)
    rows = [head * old.head_size + i for head in kept for i in range(old.head_size)]
    shape = _with_block(encoder.shape, block, replace(old, heads=len(kept)))
    return _rebuilt(encoder, shape, _kept(encoder, f"blocks.{block}.heads", rows))


def keep_feed_forward(encoder: Encoder, block: int, kept: Sequence[int]) -> Encoder:
    """Keep these neurons inside the feed-forward of one block.

    Raises:
        InfeasiblePlan: `kept` is empty, repeats or is out of range.
    """
    old = encoder.shape.blocks[block]
    _check(f"feed-forward neurons of block {block}", kept, old.feed_forward)
    shape = _with_block(encoder.shape, block, replace(old, feed_forward=len(kept)))
    return _rebuilt(encoder, shape, _kept(encoder, f"blocks.{block}.feed_forward", kept))


def keep_hidden(encoder: Encoder, kept: Sequence[int]) -> Encoder:
    """Keep these units of the residual stream, in every matrix and norm that reads or writes it.

    Factorized embeddings keep their width; only their projection loses rows.

    Raises:
        InfeasiblePlan: `kept` is empty, repeats or is out of range, or a factorized encoder would get a hidden size
            equal to its embedding size (which means: no projection).
    """
    shape = encoder.shape
    _check("hidden units", kept, shape.hidden)
    factorized = shape.embedding_size != shape.hidden
    if factorized and len(kept) == shape.embedding_size:
        raise InfeasiblePlan(f"hidden = {len(kept)} equals the size of the factorized embeddings; take another hidden")
    embedding_size = shape.embedding_size if factorized else len(kept)
    new_shape = shape.with_(hidden=len(kept), embedding_size=embedding_size)
    return _rebuilt(encoder, new_shape, _kept(encoder, "hidden", kept))


def keep_vocabulary(encoder: Encoder, kept_ids: Sequence[int]) -> Encoder:
    """Keep these pieces of the vocabulary; row i of the new word table is row `kept_ids[i]` of the old.

    Raises:
        InfeasiblePlan: `kept_ids` is empty, repeats or is out of range.
    """
    _check("vocabulary ids", kept_ids, encoder.shape.vocabulary)
    shape = encoder.shape.with_(vocabulary=len(kept_ids))
    return _rebuilt(encoder, shape, _kept(encoder, "vocabulary", kept_ids))


def keep_positions(encoder: Encoder, positions: int) -> Encoder:
    """Keep the first positions; longer texts must then be cut.

    Raises:
        InfeasiblePlan: `positions` is not between 1 and what there is.
    """
    if not 1 <= positions <= encoder.shape.positions:
        raise InfeasiblePlan(f"positions = {positions}, but 1 <= positions <= {encoder.shape.positions} must hold")
    shape = encoder.shape.with_(positions=positions)
    return _rebuilt(encoder, shape, _kept(encoder, "positions", range(positions)))


def unshare(encoder: Encoder) -> Encoder:
    """Give every depth a block of its own, so that depths of a shared block can be cut differently."""
    shape = encoder.shape
    blocks = tuple(shape.blocks[block] for block in shape.order)
    weights, ranks = _per_depth(plain_weights(encoder), shape.order), _per_depth(dict(shape.ranks), shape.order)
    return _rebuilt(encoder, shape.with_(blocks=blocks, order=tuple(range(shape.depth))), weights, ranks)


def share_layers(encoder: Encoder, runs: Sequence[int], weights_of: str = "mean") -> Encoder:
    """Let neighbouring layers run one block, as ALBERT does (Lan et al. 2020, arXiv:1909.11942).

    Args:
        runs: how many layers each block runs in a row, from the first layer on; together all of them.
        weights_of: the block is the `mean` of the layers that it replaces, or the `first` of them.

    Raises:
        InfeasiblePlan: the runs are not all layers, or layers that would share a block differ in size.
    """
    shape = encoder.shape
    if min(runs, default=0) < 1 or sum(runs) != shape.depth:
        raise InfeasiblePlan(f"runs of layers = {list(runs)}, but each must be 1 or more, {shape.depth} together")
    starts = [sum(runs[:i]) for i in range(len(runs))]
    own = unshare(encoder)
    merged = {f"blocks.{start}.": f"blocks.{i}." for i, start in enumerate(starts)}
    weights = plain_weights(own)
    for start, run in zip(starts, runs, strict=True):
        if len(set(own.shape.blocks[start : start + run])) > 1:
            raise InfeasiblePlan(f"layers {start} to {start + run - 1} differ in size, so they cannot share a block")
        for name in _only(weights, f"blocks.{start}.") if weights_of == "mean" and run > 1 else ():
            inside = name.removeprefix(f"blocks.{start}.")
            weights[name] = torch.stack([weights[f"blocks.{start + i}.{inside}"] for i in range(run)]).mean(0)
    merged |= {f"exits.{depth}.": f"exits.{depth}." for depth in shape.exits}
    order = tuple(i for i, run in enumerate(runs) for _ in range(run))
    new_shape = shape.with_(blocks=tuple(own.shape.blocks[start] for start in starts), order=order)
    return _rebuilt(encoder, new_shape, _renamed(weights, merged), _renamed(dict(own.shape.ranks), merged))


def keep_ranks(encoder: Encoder, ranks: Mapping[str, int]) -> Encoder:
    """Store these linear weights, by name, as two factors of a rank: the nearest ones to the weights.

    Raises:
        InfeasiblePlan: a name is no linear's weight, or its factors would not be smaller than it is.
    """
    weights = plain_weights(encoder)
    linears = {part.name for part in parts_of(encoder.shape) if part.kind == "linear"}
    for name, rank in ranks.items():
        if name not in linears:
            raise InfeasiblePlan(f"a rank is given for {name!r}, which is no linear's weight")
        rows, columns = weights[name].shape
        if rank < 1 or not is_smaller(rank, rows, columns):
            rule = f"1 <= rank < {rows * columns / (rows + columns):.4g} must hold for factors to be smaller"
            raise InfeasiblePlan(f"rank = {rank} for {name} ({rows} x {columns}), but {rule}")
    return _rebuilt(encoder, encoder.shape, weights, dict(encoder.shape.ranks) | dict(ranks))


def keep_tokens(encoder: Encoder, fractions: Sequence[float]) -> Encoder:
    """Let a fraction of the tokens go on after each layer's attention; none given means all everywhere.

    Raises:
        InfeasiblePlan: not one fraction per layer, or one that is not above 0 and at most 1.
    """
    depth = encoder.shape.depth
    if fractions and (len(fractions) != depth or not all(0 < f <= 1 for f in fractions)):
        raise InfeasiblePlan(f"tokens kept = {list(fractions)}, but {depth} fractions, each 0 < f <= 1, must be given")
    return _rebuilt(encoder, encoder.shape.with_(tokens=tuple(fractions)), plain_weights(encoder))


def keep_texts_apart(encoder: Encoder, layers: int) -> Encoder:
    """Let the tokens of a pair attend to their own text alone in this many of the lower layers.

    Raises:
        InfeasiblePlan: a layer in which the two texts meet must be left.
    """
    if not 0 <= layers < encoder.shape.depth:
        raise InfeasiblePlan(f"local layers = {layers}, but 0 <= local layers < {encoder.shape.depth} must hold")
    return _rebuilt(encoder, encoder.shape.with_(local_layers=layers), plain_weights(encoder))


def add_exits(encoder: Encoder, depths: Iterable[int], generator: torch.Generator) -> Encoder:
    """Add exit heads after these depths (layers run); those that exist keep their weights.

    New ones are normal with deviation 0.02 and zero bias.

    Raises:
        InfeasiblePlan: a depth is not between 0 and the last but one layer.
    """
    shape, depths = encoder.shape, set(depths)
    wrong = sorted(depth for depth in depths if not 0 <= depth < shape.depth)
    if wrong:
        raise InfeasiblePlan(f"exits after {wrong} layers, but 0 <= exit < {shape.depth} must hold")
    weights, wider = plain_weights(encoder), shape.with_(exits=tuple(sorted({*shape.exits, *depths})))
    for part in parts_of(wider):
        if part.name not in weights:
            is_bias, empty = part.kind == "bias", torch.zeros(part.size)
            weights[part.name] = empty if is_bias else empty.normal_(0.0, 0.02, generator=generator)
    return _rebuilt(encoder, wider, weights)


def _exit_after(depth: int, kept: Sequence[int]) -> int | None:
    """Where an exit after `depth` layers goes when only the `kept` layers stay."""
    if depth == 0:
        return 0
    return kept.index(depth - 1) + 1 if depth - 1 in kept else None


def _kept(encoder: Encoder, axis: str, indices: Sequence[int]) -> dict[str, Tensor]:
    """The weights with these places of an axis alone."""
    return keep(plain_weights(encoder), parts_of(encoder.shape), axis, indices)


def _per_depth(named: Mapping[str, T], order: Sequence[int]) -> dict[str, T]:
    """What is named by its block, under the depths that run it."""
    own = {name: value for name, value in named.items() if not name.startswith("blocks.")}
    for depth, block in enumerate(order):
        own |= _renamed(_only(named, f"blocks.{block}."), {f"blocks.{block}.": f"blocks.{depth}."})
    return own


def _only(weights: Mapping[str, T], prefix: str) -> dict[str, T]:
    return {name: value for name, value in weights.items() if name.startswith(prefix)}


def _renamed(weights: Mapping[str, T], prefixes: Mapping[str, str]) -> dict[str, T]:
    """Blocks and exits under their new numbers, those without one left out; everything else as it is."""
    new = {n: w for n, w in weights.items() if not n.startswith(("blocks.", "exits."))}
    for old, wanted in prefixes.items():
        new |= {wanted + n.removeprefix(old): w for n, w in _only(weights, old).items()}
    return new


def _with_block(shape: EncoderShape, block: int, changed: BlockShape) -> EncoderShape:
    return shape.with_(blocks=(*shape.blocks[:block], changed, *shape.blocks[block + 1 :]))


def _rebuilt(
    encoder: Encoder, shape: EncoderShape, weights: Mapping[str, Tensor], ranks: Mapping[str, int] | None = None
) -> Encoder:
    ranks = dict(shape.ranks) if ranks is None else ranks
    fitting = tuple((name, min(ranks[name], *weights[name].shape)) for name in sorted(ranks))
    return encoder_like(encoder, shape.with_(ranks=fitting), weights)


def _check(what: str, kept: Sequence[int], count: int) -> None:
    if not kept or len(set(kept)) != len(kept) or min(kept) < 0 or max(kept) >= count:
        shown = f"{list(kept)[:8]}{' …' if len(kept) > 8 else ''}"
        raise InfeasiblePlan(f"{what} to keep = {shown}, but some of 0 to {count - 1} must be given, each once")
