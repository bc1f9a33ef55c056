"""Random initial weights: `init(key, shape, dtype) -> array`, with shape (n_in, ..., n_out).

The normal and uniform kinds draw with standard deviation `sqrt(gain / fan)`:

| function | gain | fan | made for |
|---|---|---|---|
| `he_normal`, `he_uniform` | 2 | inputs | rectifiers |
| `glorot_normal`, `glorot_uniform` | 1 | mean of inputs and outputs | tanh, sigmoid |
| `lecun_normal`, `lecun_uniform` | 1 | inputs | self-normalising networks |

All use random words, + - * / and square roots only, so that initial weights have the same bits on every machine.

Sources: He, Zhang, Ren and Sun, Delving Deep into Rectifiers, 2015, section 2.2; Glorot and Bengio, Understanding the
Difficulty of Training Deep Feedforward Neural Networks, 2010, equation 16; LeCun, Bottou, Orr and Mueller, Efficient
BackProp, 1998, section 4.6; Saxe, McClelland and Ganguli, Exact Solutions to the Nonlinear Dynamics of Learning in Deep
Linear Neural Networks, 2014, section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod, sqrt
from typing import Any, TypeAlias

import numpy as np

from purenet import random
from purenet.arguments import check_number
from purenet.arithmetic.reduction import fixed_order_sum
from purenet.errors import ArgumentError
from purenet.random import Key
from purenet.records import static, struct

Shape: TypeAlias = tuple[int, ...]
Initializer: TypeAlias = Callable[[Key, Shape, Any], Any]


@struct
class VarianceScaling:
    """Random weights with mean 0 and variance `gain / fan`: what `he_normal` and its kin are.

    Args:
        gain: the factor of the variance.
        fan: what the variance is divided by: the number of "inputs", or the "mean" of inputs and outputs.
        distribution: "normal" or "uniform".

    Example:
        >>> import purenet as pn
        >>> he_normal
        VarianceScaling(gain=2.0, fan='inputs', distribution='normal')
        >>> round(float(he_normal(pn.key(0), (50, 400)).std()), 2)
        0.2
    """

    gain: float = static()
    fan: str = static()
    distribution: str = static()

    def __call__(self, key: Key, shape: Shape, dtype: Any = np.float64) -> Any:
        """Weights of a shape (n_in, ..., n_out) and a floating dtype."""
        inputs, outputs = _fans(shape)
        variance = self.gain / (inputs if self.fan == "inputs" else (inputs + outputs) / 2)
        if self.distribution == "normal":
            return random.normal(key, shape, dtype=dtype) * np.dtype(dtype).type(sqrt(variance))
        limit = sqrt(3 * variance)
        return random.uniform(key, shape, -limit, limit, dtype=dtype)


he_normal = VarianceScaling(2.0, "inputs", "normal")
he_uniform = VarianceScaling(2.0, "inputs", "uniform")
glorot_normal = VarianceScaling(1.0, "mean", "normal")
glorot_uniform = VarianceScaling(1.0, "mean", "uniform")
lecun_normal = VarianceScaling(1.0, "inputs", "normal")
lecun_uniform = VarianceScaling(1.0, "inputs", "uniform")


def orthogonal(key: Key, shape: Shape, dtype: Any = np.float64) -> Any:
    """Orthonormal columns, or rows where there are more columns than rows, uniformly distributed.

    All axes but the last count as rows. The Gram-Schmidt process, with every column orthogonalised twice.

    Example:
        >>> import purenet as pn
        >>> w = orthogonal(pn.key(0), (5, 3))
        >>> bool(np.allclose(w.T @ w, np.eye(3)))
        True
    """
    n_in, n_out = _fans(shape)
    tall = random.normal(key, (max(n_in, n_out), min(n_in, n_out)))
    columns = np.empty((tall.shape[1], tall.shape[0]))
    for i, column in enumerate(tall.T):
        before = columns[:i]
        for _ in range(2):
            overlap = fixed_order_sum(before * column, axis=1)
            column = column - fixed_order_sum(before * overlap[:, None], axis=0)
        columns[i] = column / np.sqrt(fixed_order_sum(column * column))
    matrix = columns.T if n_in >= n_out else columns
    return np.ascontiguousarray(matrix.reshape(shape), dtype=dtype)


def zeros(key: Key, shape: Shape, dtype: Any = np.float64) -> Any:
    """All zeros.

    Example:
        >>> import purenet as pn
        >>> zeros(pn.key(0), (2,))
        array([0., 0.])
    """
    return np.zeros(shape, dtype)


def constant(value: float) -> Initializer:
    """An initialiser that sets every weight to `value`.

    Raises:
        ArgumentError: if `value` is not a finite number.

    Example:
        >>> import purenet as pn
        >>> constant(0.5)(pn.key(0), (2,), np.float64)
        array([0.5, 0.5])
    """
    number = check_number("constant.value", value)

    def fill(key: Key, shape: Shape, dtype: Any = np.float64) -> Any:
        return np.full(shape, number, dtype)

    return fill


def _fans(shape: Shape) -> tuple[int, int]:
    """The numbers of inputs and outputs of a weight array."""
    if len(shape) < 2 or min(shape) < 1:
        raise ArgumentError(f"expected a shape (n_in, ..., n_out) of positive sizes, got {shape}", path="shape")
    return prod(shape[:-1]), shape[-1]
