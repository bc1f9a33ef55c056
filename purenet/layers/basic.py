"""The layers that are not made of others: `Dense`, `LayerNorm`, `Dropout`, `Flatten`.

Each record is followed by its forward function and its pullback rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from purenet.arguments import check_number
from purenet.arithmetic import exact
from purenet.arithmetic.blas import dot_or_matmul
from purenet.arithmetic.modes import Portable
from purenet.arithmetic.prepared import product_like
from purenet.arithmetic.sums import halved, total
from purenet.errors import DtypeError, ShapeError
from purenet.layers.dispatch import Kernel, LayerPull, forward
from purenet.random import Key, bernoulli
from purenet.records import Array, static, struct
from purenet.transforms.portability.array import PortableArray, plain_of


@struct
class Dense:
    """A fully connected layer: `x @ weight + bias`.

    Args:
        weight: shape (n_in, n_out), floating-point.
        bias: shape (n_out,), same dtype; None for no bias.

    Raises:
        ShapeError, DtypeError: if an array has another shape or is not floating-point.

    Example:
        >>> layer = Dense(np.ones((2, 3)), np.array([0.0, 1.0, 2.0]))
        >>> layer
        Dense(weight: float64[2, 3], bias: float64[3])
        >>> forward(layer, np.array([[1.0, 1.0]]))
        array([[2., 3., 4.]])
    """

    weight: Array
    bias: Array | None = None

    def __attrs_post_init__(self) -> None:
        check_floating(self.weight, "Dense.weight")
        if self.weight.ndim != 2:
            raise ShapeError(f"expected shape (n_in, n_out), got {self.weight.shape}", path="Dense.weight")
        if self.bias is not None:
            check_floating(self.bias, "Dense.bias")
            if self.bias.shape != self.weight.shape[1:]:
                raise ShapeError(f"expected shape {self.weight.shape[1:]}, got {self.bias.shape}", path="Dense.bias")
            if self.bias.dtype != self.weight.dtype:
                raise DtypeError(
                    f"expected {self.weight.dtype} as in weight, got {self.bias.dtype}; "
                    f"convert it with .astype(np.{self.weight.dtype})",
                    path="Dense.bias",
                )


@forward.register
def _(layer: Dense, x: Any) -> Any:
    weight, bias = layer.weight, layer.bias
    try:
        y = x @ weight
    except ValueError:
        raise _misfit(x, weight) from None
    if y.dtype is not x.dtype and x.dtype.kind not in "fc":
        raise _misfit(x, weight)
    return y if bias is None else y + bias


def _choose_dense(layer: Dense, x: Any, mode: Portable | None) -> Kernel | None:
    """The kernel for a step that comes again and again."""
    weight: Any = layer.weight
    if not _are_matrices(x, weight):
        return None
    if mode is None:
        return _native_kernel(layer, x)
    g = np.empty((len(x), weight.shape[1]), x.dtype)
    pairs = ((x, weight), (x.T, g), (g, weight.T))
    ahead, for_weight, for_x = (product_like(a, b, mode.slices) for a, b in pairs)
    if ahead is None or for_weight is None or for_x is None:
        return _portable_kernel(layer, mode)
    return _kernel(layer, ahead, for_weight, for_x, halved, takes_operand=True, is_bounded=x.dtype.char == "d")


def _are_matrices(x: Any, weight: Any) -> bool:
    """Whether the input is a batch of rows in the dtype of the weight, and fits it."""
    return bool(x.ndim == 2 and x.dtype == weight.dtype and x.shape[1] == weight.shape[0])


def _native_kernel(layer: Dense, x: Any) -> Kernel:
    product = dot_or_matmul(x, layer.weight)
    return _kernel(layer, product, product, product, None if layer.bias is None else _ones(x).dot)


def _portable_kernel(layer: Dense, mode: Portable) -> Kernel:
    """For operands of any magnitudes, and for an `Operand`."""
    product = partial(exact.matmul, slices=mode.slices)
    return _kernel(layer, product, product, product, _total_of_rows, takes_operand=True)


def _kernel(layer: Dense, ahead: Any, for_weight: Any, for_x: Any, sum_of_rows: Any, **promises: bool) -> Kernel:
    """`x @ weight + bias`; `d weight = x.T @ g`, `d bias` = the sum of `g` over the batch, `d x = g @ weight.T`."""
    if layer.bias is None:

        def pull_without_bias(g: Any, wants_x: bool, x: Any, y: Any, weight: Any) -> tuple[Any, ...]:
            return for_weight(x.transpose(), g), for_x(g, weight.T) if wants_x else None

        return Kernel(ahead, pull_without_bias, **promises)

    def value(x: Any, weight: Any, bias: Any) -> Any:
        y = ahead(x, weight)
        y += bias
        return y

    def pull(g: Any, wants_x: bool, x: Any, y: Any, weight: Any, bias: Any) -> tuple[Any, ...]:
        return for_weight(x.transpose(), g), sum_of_rows(g), for_x(g, weight.T) if wants_x else None

    return Kernel(value, pull, **promises)


def _total_of_rows(matrix: Any) -> Any:
    return total(matrix, 0)


@forward.register_own_rule
def _(layer: Dense, x: Any) -> tuple[Any, LayerPull]:
    weight: Any = layer.weight
    bias, cls = layer.bias, weight.__class__
    if x.__class__ is cls is np.ndarray and _are_matrices(x, weight):
        return _natively(layer, x, weight, bias)
    if x.__class__ is cls is PortableArray and x.mode is weight.mode and _are_matrices(x, weight):
        return _portably(_portable_kernel(layer, x.mode), layer, x, (weight,) if bias is None else (weight, bias))
    if not _fits(x, weight):
        raise _misfit(x, weight)
    y = x @ weight
    if bias is not None:
        y += bias
    return y, lambda g, wants_x: _pull_any(layer, x, g, wants_x)


def _natively(layer: Dense, x: Any, weight: Any, bias: Any) -> tuple[Any, LayerPull]:
    """What the kernel computes, which is not worth making for one call."""
    product = dot_or_matmul(x, weight)
    y = product(x, weight)
    if bias is not None:
        y += bias

    def pull(g: Any, wants_x: bool) -> tuple[Sequence[Any], Any]:
        if g.__class__ is not np.ndarray or g.dtype != y.dtype:
            return _pull_any(layer, x, g, wants_x)
        d_weight = product(x.transpose(), g)
        leaves = [d_weight] if bias is None else [d_weight, _ones(g).dot(g)]
        return leaves, product(g, weight.T) if wants_x else None

    return y, pull


def _portably(kernel: Kernel, layer: Dense, x: Any, leaves: Sequence[Any]) -> tuple[Any, LayerPull]:
    """The kernel is given what the values stand for."""
    mode = x.mode
    plain_x, plain = x.operand or x.value, [plain_of(leaf) for leaf in leaves]
    y = kernel.value(plain_x, *plain)

    def pull(g: Any, wants_x: bool) -> tuple[Sequence[Any], Any]:
        if g.__class__ is not PortableArray or g.mode is not mode or g.dtype != y.dtype:
            return _pull_any(layer, x, g, wants_x)
        *found, d_x = kernel.pull(g.value, wants_x, plain_x, y, *plain)
        return [PortableArray(leaf, mode) for leaf in found], PortableArray(d_x, mode) if wants_x else None

    return PortableArray(y, mode), pull


def _pull_any(layer: Dense, x: Any, g: Any, wants_x: bool) -> tuple[list[Any], Any]:
    """The pull for an input of any dtype and number of axes, and for what stands for an array in a transformation."""
    weight = layer.weight
    rows, g_rows = x, g
    if x.ndim != 2:
        rows, g_rows = x.reshape(-1, weight.shape[0]), np.reshape(g, (-1, weight.shape[1]))
    leaves = [rows.T @ g_rows]
    if layer.bias is not None:
        is_array = g_rows.__class__ is np.ndarray
        leaves.append(_ones(g_rows).dot(g_rows) if is_array else g_rows.sum(axis=0))
    if leaves[0].dtype is not weight.dtype:
        leaves = [leaf.astype(weight.dtype) for leaf in leaves]
    return leaves, g @ weight.T if wants_x else None


def _ones(matrix: Any) -> Any:
    """A one for each row: a product with them is the sum of the rows, in a third of the time of a reduction."""
    ones = np.empty(matrix.shape[0], matrix.dtype)
    ones.fill(1)
    return ones


forward.register_kernels(Dense, _choose_dense)


def check_floating(array: Any, path: str) -> None:
    """Raise a `DtypeError` unless a parameter is a floating-point array."""
    if getattr(getattr(array, "dtype", None), "kind", None) != "f":
        got = f"an array of {array.dtype}" if hasattr(array, "dtype") else f"{type(array).__name__}"
        raise DtypeError(f"expected a floating-point array, got {got}; convert it with .astype(np.float64)", path=path)


def _fits(x: Any, parameter: Any) -> bool:
    """Whether `x` is floating-point and has as many features as the first axis of a parameter is long."""
    shape = x.shape
    return bool(shape) and shape[-1] == parameter.shape[0] and x.dtype.kind in "fc"


def _misfit(x: Any, parameter: Any) -> Exception:
    if x.shape[-1:] != parameter.shape[:1]:
        problem = f"expected an input with {parameter.shape[0]} features on its last axis, got shape {x.shape}"
        return ShapeError(problem)
    return DtypeError(f"expected a floating-point input, got {x.dtype}; convert it with .astype(np.{parameter.dtype})")


@struct
class LayerNorm:
    """Layer normalisation of the last axis: `(x - mean(x)) / sqrt(var(x) + epsilon) * weight + bias`.

    Args:
        weight: shape (features,).
        bias: shape (features,).
        epsilon: a positive number, added to the variance.

    Raises:
        ShapeError, DtypeError, ArgumentError: if the arrays do not fit each other, are not floating-point, or `epsilon`
            is not positive.

    Example:
        >>> forward(LayerNorm(np.ones(2), np.zeros(2), epsilon=1e-12), np.array([[1.0, 3.0]])).round(6)
        array([[-1.,  1.]])

    Source:
        Ba, Kiros and Hinton, Layer Normalization, 2016, equation 4.
    """

    weight: Array
    bias: Array
    epsilon: float = static(default=1e-5)

    def __attrs_post_init__(self) -> None:
        check_floating(self.weight, "LayerNorm.weight")
        check_floating(self.bias, "LayerNorm.bias")
        if self.weight.ndim != 1:
            raise ShapeError(f"expected shape (features,), got {self.weight.shape}", path="LayerNorm.weight")
        if self.bias.shape != self.weight.shape:
            raise ShapeError(f"expected shape {self.weight.shape}, got {self.bias.shape}", path="LayerNorm.bias")
        if self.bias.dtype != self.weight.dtype:
            raise DtypeError(f"expected {self.weight.dtype} as in weight, got {self.bias.dtype}", path="LayerNorm.bias")
        check_number("LayerNorm.epsilon", self.epsilon, above=0)


@forward.register
def _(layer: LayerNorm, x: Any) -> Any:
    if not _fits(x, layer.weight):
        raise _misfit(x, layer.weight)
    centred = x - np.mean(x, axis=-1, keepdims=True)
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    return centred / np.sqrt(variance + layer.epsilon) * layer.weight + layer.bias


@forward.register_own_rule
def _(layer: LayerNorm, x: Any) -> tuple[Any, LayerPull]:
    """With `n` the normalised input and `h = g * weight`: `d x = (h - mean(h) - n * mean(h * n)) / deviation`."""
    if not _fits(x, layer.weight):
        raise _misfit(x, layer.weight)
    centred = x - np.mean(x, axis=-1, keepdims=True)
    deviation = np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + layer.epsilon)
    normalised = centred / deviation

    def pull(g: Any, wants_x: bool) -> tuple[Sequence[Any], Any]:
        batch_axes = tuple(range(g.ndim - 1))
        leaves = [np.sum(g * normalised, axis=batch_axes), np.sum(g, axis=batch_axes)]
        d_x = _input_cotangent(g * layer.weight, normalised, deviation) if wants_x else None
        return [leaf.astype(layer.weight.dtype) for leaf in leaves], d_x

    return normalised * layer.weight + layer.bias, pull


def _input_cotangent(h: Any, normalised: Any, deviation: Any) -> Any:
    mean_h = np.mean(h, axis=-1, keepdims=True)
    mean_hn = np.mean(h * normalised, axis=-1, keepdims=True)
    return (h - mean_h - normalised * mean_hn) / deviation


@struct
class Dropout:
    """Zero each element with probability `rate` and divide the others by `1 - rate`; without a key, do nothing.

    Args:
        rate: the probability of a zero, at least 0 and below 1 (not the probability of keeping).

    Raises:
        ArgumentError: if `rate` is outside [0, 1).

    Example:
        >>> import numpy as np
        >>> import purenet as pn
        >>> layer = pn.Dropout(rate=0.5)
        >>> pn.forward(layer, np.ones(4))
        array([1., 1., 1., 1.])
        >>> sorted(set(pn.forward(layer, np.ones(100), key=pn.key(0)).tolist()))
        [0.0, 2.0]

    Source:
        Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting, 2014; here in its inverted
        form, which leaves inference alone.
    """

    rate: float = static()

    def __attrs_post_init__(self) -> None:
        check_number("Dropout.rate", self.rate, at_least=0, below=1)


def _factors(layer: Dropout, x: Any, key: Key) -> Any:
    """0 or `1 / (1 - rate)` for each element of `x`."""
    if x.dtype.kind not in "fc":
        raise DtypeError(f"expected a floating-point input, got {x.dtype}; convert it with .astype(np.float64)")
    kept = bernoulli(key, 1 - layer.rate, x.shape)
    return kept * x.dtype.type(1 / (1 - layer.rate))


@forward.register
def _(layer: Dropout, x: Any, *, key: Key | None = None) -> Any:
    return x if key is None or layer.rate == 0 else x * _factors(layer, x, key)


@forward.register_own_rule
def _(layer: Dropout, x: Any, key: Key | None) -> tuple[Any, LayerPull]:
    if key is None or layer.rate == 0:
        return x, lambda g, wants_x: ((), g)
    factors = _factors(layer, x, key)
    return x * factors, lambda g, wants_x: ((), g * factors)


@struct
class Flatten:
    """Join all axes but the first, the batch: shape (batch, a, b, ...) becomes (batch, a * b * ...).

    Example:
        >>> forward(Flatten(), np.ones((64, 8, 8))).shape
        (64, 64)
    """


def _flat_shape(x: Any) -> tuple[int, ...]:
    return x.shape if x.ndim < 2 else (x.shape[0], prod(x.shape[1:]))


@forward.register
def _(layer: Flatten, x: Any) -> Any:
    return np.reshape(x, _flat_shape(x))


@forward.register_own_rule
def _(layer: Flatten, x: Any) -> tuple[Any, LayerPull]:
    return np.reshape(x, _flat_shape(x)), lambda g, wants_x: ((), np.reshape(g, x.shape))
