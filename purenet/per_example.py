"""One gradient for each example of a batch.

For purenet's layers and losses all come out of one pass over the batch: the examples do not mix on the way, so only the
parameters' cotangents, which a pullback sums over the batch, are formed anew, without the sum.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from purenet import tree
from purenet.errors import ShapeError, TreeError
from purenet.layers.activations import Elu, Gelu, LeakyRelu, Relu, Sigmoid, Silu, Softplus, Tanh
from purenet.layers.basic import Dense, Dropout, Flatten, LayerNorm
from purenet.layers.combinators import Residual, Sequential, check_residual
from purenet.layers.dispatch import forward
from purenet.records import frozen, rebuild
from purenet.training import Objective
from purenet.transforms.linearise import is_plain
from purenet.transforms.reverse import grad, value_and_grad

_WITHOUT_PARAMETERS = (Relu, LeakyRelu, Tanh, Sigmoid, Softplus, Gelu, Silu, Elu, Dropout, Flatten)


def per_example_grads(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function that returns the gradient for every example of a batch.

    `per_example_grads(f)(net, (x, y))` is a tree like `net` whose leaves have one more axis, the first, for the
    examples: entry i is the gradient of `f(net, (x[i:i+1], y[i:i+1]))` with respect to `net`.

    Args:
        f: a scalar function `(net, batch)`. One made by `pn.objective` of purenet's layers and losses is computed for
            all examples at once; for any other the examples are taken one after the other.

    Returns:
        A function `(net, batch) -> gradients`; `batch` is a tree of arrays with the examples along their first axes.

    Raises:
        TreeError, ShapeError: when called, if the batch is empty or its arrays differ in length.

    Example:
        >>> import purenet as pn
        >>> f = pn.objective(pn.losses.mean_squared_error)
        >>> net = pn.Dense(np.array([[1.0]]))
        >>> pn.per_example_grads(f)(net, (np.array([[1.0], [2.0]]), np.array([[0.0], [0.0]]))).weight
        array([[[2.]],
               [[8.]]])
    """

    def gradients(net: Any, batch: Any) -> Any:
        count = _count(batch)
        pairs = is_plain((net, batch)) and len(batch) == 2 and batch[0].ndim > 1
        if isinstance(f, Objective) and pairs and _is_separable(net):
            reduction = _reduction(f.loss)
            if reduction is not None:
                return _all_at_once(f.loss, net, batch, count if reduction == "mean" else 1)
        rows = [grad(f)(net, tree.map(lambda leaf, i=i: leaf[i : i + 1], batch)) for i in range(count)]
        return _stack(rows)

    return gradients


def _count(batch: Any) -> int:
    """The number of examples of a batch."""
    lengths = [(path, np.shape(leaf)[:1]) for path, leaf in tree.items(batch)]
    if not lengths or not lengths[0][1] or lengths[0][1][0] == 0:
        raise TreeError("expected a batch of at least one example", path="batch")
    for path, length in lengths:
        if length != lengths[0][1]:
            raise ShapeError(
                f"expected {lengths[0][1][0]} examples as in the first array, got {length}", path=f"batch{path}"
            )
    return int(lengths[0][1][0])


def _stack(rows: list[Any]) -> Any:
    """Trees of one structure as one tree whose leaves have a first axis for them; containers keep their kind."""
    columns = zip(*map(tree.leaves, rows), strict=True)
    return tree.flatten(rows[0])[1]([frozen(np.stack(column)) for column in columns])


def _reduction(loss: Any) -> str | None:
    """Whether a loss is the "mean" or the "sum" of independent losses of the examples; None if that is not known."""
    while isinstance(loss, functools.partial):
        loss = loss.func
    reduction: str | None = getattr(loss, "__reduction__", None)
    return reduction


def _is_separable(layer: Any) -> bool:
    """Whether a layer is made of those below, none of which mixes the examples of a batch."""
    if isinstance(layer, Sequential):
        return all(map(_is_separable, layer.layers))
    if isinstance(layer, Residual):
        return _is_separable(layer.layer)
    return isinstance(layer, (Dense, LayerNorm, *_WITHOUT_PARAMETERS))


def _all_at_once(loss: Callable[..., Any], net: Any, batch: Any, scale: int) -> Any:
    """The gradients by one pass; `scale` undoes that the loss of a batch is a mean."""
    x, y = batch
    prediction, pull = _linearise(net, x)
    _, cotangents = value_and_grad(loss)(prediction, y)
    leaves, _ = pull(cotangents * prediction.dtype.type(scale))
    pairs = zip(leaves, tree.leaves(net), strict=True)
    return tree.with_leaves(net, [frozen(leaf.astype(like.dtype, copy=False)) for leaf, like in pairs])


def _linearise(layer: Any, x: Any) -> tuple[Any, Callable[[Any], tuple[list[Any], Any]]]:
    """`forward.linearise` with a pull whose cotangents of leaves keep the axis of the examples."""
    if isinstance(layer, Sequential | Residual):
        return _linearise_children(layer, x)
    y, pull = forward.linearise(layer, x)
    if isinstance(layer, Dense):
        return y, lambda g: (_dense_leaves(layer, x, g), pull(g, True)[1])
    if isinstance(layer, LayerNorm):
        plain_norm = rebuild(layer, (np.ones_like(layer.weight), np.zeros_like(layer.bias)))
        return y, lambda g: (_norm_leaves(forward(plain_norm, x), g), pull(g, True)[1])
    return y, lambda g: ([], pull(g, True)[1])


def _linearise_children(parent: Any, x: Any) -> tuple[Any, Callable[[Any], tuple[list[Any], Any]]]:
    around = isinstance(parent, Residual)
    y, pulls = x, []
    for i, layer in enumerate((parent.layer,) if around else parent.layers):
        try:
            y, pull = _linearise(layer, y)
        except TreeError as error:
            raise error.within("layer" if around else f"layers[{i}]") from None
        pulls.append(pull)

    def pull_all(g: Any) -> tuple[list[Any], Any]:
        leaves: list[Any] = []
        d_x = g
        for pull in reversed(pulls):
            of_layer, d_x = pull(d_x)
            leaves[:0] = of_layer
        return leaves, g + d_x if around else d_x

    if around:
        check_residual(x, y)
    return x + y if around else y, pull_all


def _dense_leaves(layer: Dense, x: Any, g: Any) -> list[Any]:
    """`d weight[i]` is the outer product of `x[i]` and `g[i]`, summed over any axes between."""
    rows, g_rows = x.reshape(len(x), -1, x.shape[-1]), g.reshape(len(g), -1, g.shape[-1])
    d_weight = np.swapaxes(rows, 1, 2) @ g_rows
    return [d_weight] if layer.bias is None else [d_weight, g_rows.sum(axis=1)]


def _norm_leaves(normalised: Any, g: Any) -> list[Any]:
    between = tuple(range(1, g.ndim - 1))
    return [(g * normalised).sum(axis=between), g.sum(axis=between)]
