"""Layers made of layers: `Sequential` and `Residual`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import attrs

from purenet.errors import DtypeError, ShapeError, TreeError
from purenet.layers.activations import Elu, Gelu, LeakyRelu, Relu, Sigmoid, Silu, Softplus, Tanh
from purenet.layers.basic import Dense, Dropout
from purenet.layers.dispatch import LayerPull, composed, forward, zero_leaves
from purenet.random import fold_in
from purenet.records import is_struct, struct

_KEEP_FEATURES = (Relu, LeakyRelu, Tanh, Sigmoid, Softplus, Gelu, Silu, Elu, Dropout)
"""Layers whose output has as many features as their input."""


def _as_layers(layers: Any) -> tuple[Any, ...]:
    if is_struct(layers) or not isinstance(layers, Iterable):
        raise DtypeError(
            f"expected a tuple of layers, got {type(layers).__name__}; write Sequential((a, b))",
            path="Sequential.layers",
        )
    for i, layer in enumerate(found := tuple(layers)):
        if not is_struct(layer):
            raise DtypeError(
                f"expected a layer, that is a record made with @pn.struct, got {layer!r:.60}",
                path=f"Sequential.layers[{i}]",
            )
    return found


@struct
class Sequential:
    """Layers applied one after the other: `layers[-1](... layers[1](layers[0](x)))`.

    Layer `i` draws its random numbers from `fold_in(key, i)`.

    Args:
        layers: a tuple of layers.

    Raises:
        DtypeError: if something in `layers` is not a layer.
        ShapeError: if a `Dense` does not take as many features as the `Dense` before it gives; it names the path.

    Example:
        >>> import numpy as np
        >>> import purenet as pn
        >>> net = pn.Sequential((pn.Dense(np.ones((2, 3))), pn.Relu(), pn.Dense(np.ones((3, 1)))))
        >>> pn.forward(net, np.array([[1.0, 2.0]]))
        array([[9.]])
    """

    layers: tuple[Any, ...] = attrs.field(converter=_as_layers)

    def __attrs_post_init__(self) -> None:
        features: int | None = None
        for i, layer in enumerate(self.layers):
            if isinstance(layer, Dense):
                if features is not None and layer.weight.shape[0] != features:
                    raise ShapeError(
                        f"expected shape ({features}, n_out), for the layers before it give {features} features; "
                        f"got {layer.weight.shape}",
                        path=f"Sequential.layers[{i}].weight",
                    )
                features = layer.weight.shape[1]
            elif not isinstance(layer, _KEEP_FEATURES):
                features = None


@struct
class Residual:
    """A layer around which its input is carried: `x + layer(x)`.

    Args:
        layer: a layer whose output has the shape of its input.

    Raises:
        ShapeError: when applied, if the shapes differ.

    Example:
        >>> import numpy as np
        >>> import purenet as pn
        >>> pn.forward(pn.Residual(pn.Dense(np.eye(2))), np.array([[1.0, 2.0]]))
        array([[2., 4.]])

    Source:
        He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2016, section 3.
    """

    layer: Any


def _child_key(layer: Any, key: Any, index: int) -> Any:
    """The key of a child; no key is derived for a child that takes none."""
    return fold_in(key, index) if forward.takes_key(layer) else None


@forward.register
def _(net: Sequential, x: Any, *, key: Any = None) -> Any:
    i = 0
    try:
        for i, layer in enumerate(net.layers):
            entry = forward.entry(type(layer))
            x = entry.function(layer, x, key=key and fold_in(key, i)) if entry.takes_key else entry.function(layer, x)
    except TreeError as error:
        raise error.within(f"layers[{i}]") from None
    return x


@partial(forward.register_own_rule, is_composed=True)
def _(net: Sequential, x: Any, key: Any, plain: bool) -> tuple[Any, LayerPull]:
    pulls: list[LayerPull] = []
    try:
        for layer in net.layers:
            x, pull = forward.linearise(layer, x, key and _child_key(layer, key, len(pulls)), plain)
            pulls.append(pull)
    except TreeError as error:
        raise error.within(f"layers[{len(pulls)}]") from None

    def pull_all(g: Any, wants_x: bool) -> tuple[Sequence[Any], Any]:
        leaves: list[Any] = []
        for i in range(len(pulls) - 1, -1, -1):
            of_layer, g = (zero_leaves(net.layers[i]), None) if g is None else pulls[i](g, wants_x or i > 0)
            leaves[:0] = of_layer
        return leaves, g

    return x, composed(pull_all, pulls)


def check_residual(x: Any, y: Any) -> None:
    """Raise a `ShapeError` unless the output of the inner layer has the shape of its input."""
    if x.shape != y.shape:
        raise ShapeError(f"expected the layer to keep the shape {x.shape} of its input, got {y.shape}", path="layer")


@forward.register
def _(residual: Residual, x: Any, *, key: Any = None) -> Any:
    try:
        y = forward(residual.layer, x, key=key)
    except TreeError as error:
        raise error.within("layer") from None
    check_residual(x, y)
    return x + y


@partial(forward.register_own_rule, is_composed=True)
def _(residual: Residual, x: Any, key: Any, plain: bool) -> tuple[Any, LayerPull]:
    try:
        y, pull = forward.linearise(residual.layer, x, key, plain)
    except TreeError as error:
        raise error.within("layer") from None
    check_residual(x, y)

    def pull_around(g: Any, wants_x: bool) -> tuple[Sequence[Any], Any]:
        leaves, d_x = pull(g, wants_x)
        return leaves, g if d_x is None else g + d_x

    return x + y, composed(pull_around, (pull,))
