"""Activation functions as layers without parameters.

Each is an elementwise function of its input; the pullback multiplies the cotangent by the derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

import numpy as np

from purenet.arguments import check_number
from purenet.arithmetic import native, pointwise
from purenet.arithmetic.modes import Portable
from purenet.layers.dispatch import Kernel, LayerPull, forward
from purenet.records import static, struct

_ROOT_HALF = sqrt(0.5)
_ROOT_TWO_OVER_PI = sqrt(2 / pi)
_ONE_OVER_ROOT_TWO_PI = 1 / sqrt(2 * pi)
_CUBIC = 0.044715


@struct
class Relu:
    """The rectifier: `max(x, 0)`; its derivative at 0 is 0.

    Example:
        >>> forward(Relu(), np.array([-1.0, 2.0]))
        array([0., 2.])
    """


@struct
class LeakyRelu:
    """The leaky rectifier: `x` where positive, else `slope * x`; its derivative at 0 is `slope`.

    Args:
        slope: a finite number.

    Example:
        >>> forward(LeakyRelu(slope=0.1), np.array([-1.0, 2.0]))
        array([-0.1,  2. ])
    """

    slope: float = static(default=0.01)

    def __attrs_post_init__(self) -> None:
        check_number("LeakyRelu.slope", self.slope)


@struct
class Tanh:
    """The hyperbolic tangent.

    Example:
        >>> forward(Tanh(), np.array([0.0, 1.0])).round(4)
        array([0.    , 0.7616])
    """


@struct
class Sigmoid:
    """The logistic function: `1 / (1 + exp(-x))`.

    Example:
        >>> forward(Sigmoid(), np.array([-1e4, 0.0, 1e4]))
        array([0. , 0.5, 1. ])
    """


@struct
class Softplus:
    """The smooth rectifier: `log(1 + exp(x))`.

    Example:
        >>> forward(Softplus(), np.array([0.0, 1e4])).round(4)
        array([6.931e-01, 1.000e+04])
    """


@struct
class Gelu:
    """The Gaussian error linear unit: `x * P(Z <= x)` for a standard normal `Z`.

    Args:
        approximate: compute `0.5 * x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x**3)))` instead of the exact form.

    Example:
        >>> forward(Gelu(), np.array([1.0])).round(6), forward(Gelu(approximate=True), np.array([1.0])).round(6)
        (array([0.841345]), array([0.841192]))

    Source:
        Hendrycks and Gimpel, Gaussian Error Linear Units, 2016, section 2. `approximate=False` is the default as in
        PyTorch; in JAX it is True.
    """

    approximate: bool = static(default=False)


@struct
class Silu:
    """The sigmoid linear unit, also called swish: `x * sigmoid(x)`.

    Example:
        >>> forward(Silu(), np.array([0.0, 1.0])).round(4)
        array([0.    , 0.7311])
    """


@struct
class Elu:
    """The exponential linear unit: `x` where positive, else `alpha * (exp(x) - 1)`.

    Args:
        alpha: a finite number.

    Example:
        >>> forward(Elu(), np.array([-1.0, 2.0])).round(4)
        array([-0.6321,  2.    ])

    Source:
        Clevert, Unterthiner and Hochreiter, Fast and Accurate Deep Network Learning by Exponential Linear Units, 2016.
    """

    alpha: float = static(default=1.0)

    def __attrs_post_init__(self) -> None:
        check_number("Elu.alpha", self.alpha)


def _register(cls: type, function: Callable[..., Any], derivative: Callable[..., Any]) -> None:
    """Register an activation `function(layer, x)` with its `derivative(layer, x, y)`."""

    def rule(layer: Any, x: Any) -> tuple[Any, LayerPull]:
        y = function(layer, x)
        return y, lambda g, wants_x: ((), g * derivative(layer, x, y) if wants_x else None)

    forward.register(cls)(function)
    forward.register_own_rule(rule, cls)


def _elu(layer: Elu, x: Any) -> Any:
    # exp of the negative part only, so that a large positive x does not overflow
    return np.where(x > 0, x, layer.alpha * np.expm1(np.where(x > 0, 0, x)))


def _normal_distribution(x: Any) -> Any:
    """`P(Z <= x)` for a standard normal `Z`."""
    return 0.5 * (1 + native.erf(x * _ROOT_HALF))


def _gelu_tanh(x: Any) -> Any:
    return np.tanh(_ROOT_TWO_OVER_PI * (x + _CUBIC * (x * x * x)))


def _gelu(layer: Gelu, x: Any) -> Any:
    return 0.5 * x * (1 + _gelu_tanh(x)) if layer.approximate else x * _normal_distribution(x)


def _gelu_derivative(layer: Gelu, x: Any, y: Any) -> Any:
    if layer.approximate:
        t = _gelu_tanh(x)
        slope = _ROOT_TWO_OVER_PI * (1 + 3 * _CUBIC * (x * x))
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope
    return _normal_distribution(x) + x * (_ONE_OVER_ROOT_TWO_PI * np.exp(-0.5 * (x * x)))


def _silu_derivative(layer: Silu, x: Any, y: Any) -> Any:
    s = native.sigmoid(x)
    return s * (1 + x * (1 - s))


@forward.register
def _(layer: Relu, x: Any) -> Any:
    return native.relu(x)


def _choose_relu(layer: Relu, x: Any, mode: Portable | None) -> Kernel:
    """`max(x, 0)`; `d x = g` where `y > 0`, else 0."""
    dtype = x.dtype
    zero = np.zeros((), dtype)  # an array without axes is quicker to compare with than a number

    def pull(g: Any, wants_x: bool, x: Any, y: Any) -> tuple[Any]:
        if not wants_x:
            return (None,)
        factor = (y > zero).astype(dtype)  # two passes, but quicker than a product of mixed dtypes
        factor *= g
        return (factor,)

    return Kernel(native.rectified if mode is None else pointwise.relu, pull)


@forward.register_own_rule
def _(layer: Relu, x: Any) -> tuple[Any, LayerPull]:
    y = native.relu(x)
    return y, lambda g, wants_x: ((), g * (y > 0) if wants_x else None)


forward.register_kernels(Relu, _choose_relu)


_register(
    LeakyRelu,
    lambda layer, x: np.where(x > 0, x, layer.slope * x),
    lambda layer, x, y: np.where(x > 0, y.dtype.type(1), y.dtype.type(layer.slope)),
)
_register(Tanh, lambda layer, x: np.tanh(x), lambda layer, x, y: 1 - y * y)
_register(Sigmoid, lambda layer, x: native.sigmoid(x), lambda layer, x, y: y * (1 - y))
_register(Softplus, lambda layer, x: native.softplus(x), lambda layer, x, y: native.sigmoid(x))
_register(Gelu, _gelu, _gelu_derivative)
_register(Silu, lambda layer, x: x * native.sigmoid(x), _silu_derivative)
_register(Elu, _elu, lambda layer, x, y: np.where(x > 0, y.dtype.type(1), y + y.dtype.type(layer.alpha)))
