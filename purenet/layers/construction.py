"""Functions that make layers and networks with random initial parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from purenet.arguments import check_count, check_flag
from purenet.errors import ArgumentError, DtypeError
from purenet.layers.activations import Relu
from purenet.layers.basic import Dense, LayerNorm
from purenet.layers.combinators import Sequential
from purenet.layers.initializers import Initializer, he_normal
from purenet.random import Key, split
from purenet.records import is_struct


def dense(
    key: Key, n_in: int, n_out: int, *, bias: bool = True, dtype: Any = np.float64, init: Initializer = he_normal
) -> Dense:
    """A `Dense` layer with random weights and zero bias.

    Args:
        key: from `pn.key` or `pn.split`.
        n_in: the number of input features.
        n_out: the number of output features.
        bias: whether the layer has a bias.
        dtype: float64 or float32.
        init: how to draw the weights: `init(key, shape, dtype) -> array`, such as those in `pn.initializers`.

    Raises:
        ArgumentError, DtypeError: if a size is not a positive integer or `dtype` is not floating-point.

    Example:
        >>> import purenet as pn
        >>> pn.dense(pn.key(0), 20, 10, dtype=np.float32)
        Dense(weight: float32[20, 10], bias: float32[10])
    """
    shape = (check_count("dense.n_in", n_in), check_count("dense.n_out", n_out))
    dtype = _check_dtype(dtype, "dense.dtype")
    return Dense(init(key, shape, dtype), np.zeros(shape[1], dtype) if check_flag("dense.bias", bias) else None)


def mlp(
    key: Key,
    sizes: Sequence[int],
    *,
    activation: Any = Relu(),
    dtype: Any = np.float64,
    init: Initializer = he_normal,
    bias: bool = True,
) -> Sequential:
    """A multilayer perceptron: `Dense` layers with an activation between each two.

    Layer i draws its weights from the i-th of `split(key, len(sizes) - 1)`.

    Args:
        key: from `pn.key` or `pn.split`.
        sizes: the number of features at the input, after each hidden layer, and at the output.
        activation: a layer without parameters, put between the `Dense` layers.
        dtype: float64 or float32.
        init: how to draw the weights: `init(key, shape, dtype) -> array`, such as those in `pn.initializers`.
        bias: whether the `Dense` layers have a bias.

    Raises:
        ArgumentError, DtypeError: if there are fewer than two sizes, a size is not a positive integer, `activation` is
            not a layer, or `dtype` is not floating-point.

    Example:
        >>> import purenet as pn
        >>> pn.mlp(pn.key(0), (20, 100, 10)).layers[1]
        Relu()
    """
    sizes = tuple(sizes)
    if len(sizes) < 2:
        raise ArgumentError(f"expected at least two sizes, input and output, got {sizes}", path="mlp.sizes")
    for i, size in enumerate(sizes):
        check_count(f"mlp.sizes[{i}]", size)
    if not is_struct(activation):
        raise DtypeError(f"expected a layer such as pn.Relu(), got {activation!r:.60}", path="mlp.activation")
    keys = split(key, len(sizes) - 1)
    layers: list[Any] = []
    for layer_key, n_in, n_out in zip(keys, sizes[:-1], sizes[1:], strict=True):
        layers += [dense(layer_key, n_in, n_out, bias=bias, dtype=dtype, init=init), activation]
    return Sequential(tuple(layers[:-1]))


def layer_norm(features: int, *, epsilon: float = 1e-5, dtype: Any = np.float64) -> LayerNorm:
    """A `LayerNorm` that starts as the plain normalisation: weights one, bias zero.

    Args:
        features: the number of features on the last axis.
        epsilon: a positive number, added to the variance.
        dtype: float64 or float32.

    Raises:
        ArgumentError, DtypeError: if an argument is out of range.

    Example:
        >>> import purenet as pn
        >>> pn.layer_norm(10)
        LayerNorm(weight: float64[10], bias: float64[10], epsilon=1e-05)
    """
    count = check_count("layer_norm.features", features)
    dtype = _check_dtype(dtype, "layer_norm.dtype")
    return LayerNorm(np.ones(count, dtype), np.zeros(count, dtype), epsilon)


def _check_dtype(dtype: Any, path: str) -> np.dtype[Any]:
    found: np.dtype[Any] = np.dtype(dtype)
    if found not in (np.float32, np.float64):
        raise DtypeError(f"expected np.float64 or np.float32, got {found}", path=path)
    return found
