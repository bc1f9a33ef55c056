"""Derivatives of elementwise functions: an entry has the map `t -> t * d(out)/d(argument)` for each argument.

Conventions where a function has no derivative: that of `absolute` is 0 at 0; ties of `maximum`, `minimum`, `fmax` and
`fmin` share it equally; `clip` passes it on at its bounds; `hypot` and `arctan2` have 0 at the origin; `x ** y` has 0
with respect to `x` where `y` is 0, and 0 with respect to `y` where `x` is 0. `sqrt` and `cbrt` have infinity at 0, as
they should. That of `logaddexp` stays finite for infinite arguments; the same infinity twice shares it equally.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from purenet.arithmetic import native, scalar
from purenet.arithmetic.native import primitive
from purenet.transforms.rule import (
    Composite,
    Elementwise,
    Formula,
    LinearMap,
    Primitive,
    Rule,
    ZeroDerivative,
    constant,
    identity,
    negate,
)


@primitive
def cast(x: Any, dtype: np.dtype[Any]) -> Any:
    """`x` with elements of another floating dtype."""
    return x.astype(dtype)


@primitive
def root(x: Any) -> Any:
    """`np.sqrt(x)`, with derivative 0 at 0: for norms and deviations, which have a minimum there."""
    return np.sqrt(x)


@primitive
def choose_between(condition: Any, x: Any, y: Any) -> Any:
    """`np.where(condition, x, y)`."""
    return np.where(condition, x, y)


@primitive
def limit(x: Any, low: Any, high: Any) -> Any:
    """`np.clip(x, low, high)`; None is no limit."""
    return np.clip(x, low, high)


def as_array(x: Any) -> Any:
    """A list or tuple as an array, anything else as it is."""
    return np.asarray(x) if isinstance(x, list | tuple) else x


def _power_of_base(out: Any, x: Any, y: Any) -> LinearMap:
    """`d(x**y)/dx = y * x**(y - 1)`, and 0 where `y` is 0, also at `x = 0`."""
    if isinstance(y, int | float):
        if y == 2:
            return lambda t: t * (2 * x)
        return lambda t: t * (y * x ** (y - 1)) if y else t * np.zeros_like(x)
    y = y.astype(out.dtype)  # whose precision a float16 lacks, and whose range an unsigned integer
    one = out.dtype.type(1)
    lowered = np.where(np.logical_and(y == 0, x == 0), one, y - one)
    return lambda t: t * (y * x**lowered)


def _power_of_exponent(out: Any, x: Any, y: Any) -> LinearMap:
    """`d(x**y)/dy = x**y * log(x)`, and 0 where `x` is 0."""
    if isinstance(x, int | float):  # the logarithm of a Python number does not change the dtype
        log_of_number = scalar.log(float(x)) if x > 0 else float("nan") if x < 0 else 0.0
        return lambda t: t * (out * log_of_number)
    # the logarithm of a constant, too, is taken in the arithmetic of the result
    one = np.ones_like(out) if isinstance(x, np.ndarray | np.generic) else 1
    return lambda t: t * (out * np.log(np.where(x == 0, one, x)))


def _shares(out: Any, mine: Any, other: Any) -> LinearMap:
    """For an argument of `maximum` or its kin: the derivative is 1 where it was taken, 1/2 at ties, else 0."""
    taken = mine == out
    tied = mine == other
    if np.any(tied):
        shares = np.where(tied, 0.5, taken).astype(out.dtype)
        return lambda t: t * shares
    return lambda t: t * taken


_EXTREMUM = Elementwise(_shares, lambda out, x, y: _shares(out, y, x))


def _clip(
    a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None, **kwargs: Any
) -> Any:
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    return limit(as_array(a), as_array(low), as_array(high), **kwargs)


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        return np.nonzero(condition)
    return choose_between(constant(condition), as_array(x), as_array(y))


def _nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    return np.where(np.isfinite(x), x, np.nan_to_num(constant(x), nan=nan, posinf=posinf, neginf=neginf))


# Exponentials, logarithms, trigonometric functions.


LOG_2 = 0.6931471805599453
LOG_10 = 2.302585092994046


def _weight_in_sum(power: Any) -> Formula:
    """For `logaddexp` the formula of `t -> t * exp(x - out)`; `power` is `np.exp` or `np.exp2`."""

    def formula(out: Any, x: Any, y: Any) -> LinearMap:
        finite = np.isfinite(out)
        if np.all(finite):
            return lambda t: t * power(x - out)
        level = np.where(finite, out, 0)
        infinite = np.where(np.equal(x, y), 0.5, np.equal(x, out)).astype(out.dtype)
        return lambda t: t * np.where(finite, power(np.where(finite, x, 0) - level), infinite)

    return formula


def _swapped(formula: Formula) -> Formula:
    """The formula for the second argument of a symmetric function."""
    return lambda out, x, y: formula(out, y, x)


def _inverse_square(r: Any, t: Any) -> Any:
    """`t / r**2` without overflow, and 0 where `r` is 0."""
    safe = np.where(r == 0, np.inf, r)
    return t / safe / safe


_TWO_OVER_ROOT_PI = 1.1283791670955126
_SINC_SERIES = (
    9.334912237173e-22,
    -9.987905210635037e-20,
    9.411473315855838e-18,
    -7.743082723388024e-16,
    5.50745891215096e-14,
    -3.3481335350440634e-12,
    1.7165384749821422e-10,
    -7.304711822217769e-09,
    2.531217404137026e-07,
    -6.975873661656377e-06,
    0.00014842879303107092,
    -0.0023460810354558226,
    0.02614784781765479,
    -0.1907518241220842,
    0.8117424252833535,
    -1.6449340668482264,
    1.0,
)
"""(-1)**k * pi**(2 * k) / (2 * k + 1)! for k from 16 to 0; written out, for `**` of floats is the C library's."""


def _sinc(x: Any) -> Any:
    """`sin(pi*x) / (pi*x)`; near 0 its Taylor series, which is smooth there to every order."""
    near = np.less(np.abs(x), 1)
    square = np.where(near, x, 0) ** 2
    series = np.zeros_like(x)
    for coefficient in _SINC_SERIES:
        series = series * square + coefficient
    away = np.pi * np.where(near, 1, x)
    return np.where(near, series, np.sin(away) / away)


_PIECEWISE_CONSTANT: tuple[Any, ...] = (
    constant,
    # rounding
    *(np.floor, np.ceil, np.rint, np.trunc, np.fix, np.round, np.around, np.sign, np.signbit, np.floor_divide),
    np.spacing,
    # comparisons and tests
    *(np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal, np.isclose, np.allclose),
    *(np.array_equal, np.array_equiv, np.isfinite, np.isinf, np.isnan, np.isneginf, np.isposinf, np.iscomplexobj),
    *(np.isrealobj, np.iscomplex, np.isreal, np.logical_and, np.logical_or, np.logical_not, np.logical_xor),
    *(np.all, np.any, np.count_nonzero, np.imag),
    # positions
    *(np.argmax, np.argmin, np.argsort, np.argpartition, np.nanargmax, np.nanargmin, np.nonzero, np.flatnonzero),
    *(np.argwhere, np.searchsorted, np.digitize, np.lexsort, np.isin, np.diag_indices_from),
    *(np.tril_indices_from, np.triu_indices_from),
    # forms
    *(np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.empty_like, np.result_type, np.can_cast),
    *(np.min_scalar_type, np.common_type, np.array_repr, np.array_str, np.array2string, np.shares_memory),
    *(np.may_share_memory, np.einsum_path, np.linalg.matrix_rank),
)
"""Functions that are carried out on plain values, with derivative zero."""

RULES: dict[Any, Rule] = dict.fromkeys(_PIECEWISE_CONSTANT, ZeroDerivative()) | {
    cast: Elementwise(lambda out, x, dtype: identity),
    np.add: Elementwise(lambda out, x, y: identity, lambda out, x, y: identity),
    np.subtract: Elementwise(lambda out, x, y: identity, lambda out, x, y: negate),
    np.multiply: Elementwise(lambda out, x, y: lambda t: t * y, lambda out, x, y: lambda t: t * x),
    np.divide: Elementwise(lambda out, x, y: lambda t: t / y, lambda out, x, y: lambda t: -t * (out / y)),
    np.negative: Elementwise(lambda out, x: negate),
    np.positive: Elementwise(lambda out, x: identity),
    np.absolute: Elementwise(lambda out, x: lambda t: t * np.sign(x)),
    np.fabs: Elementwise(lambda out, x: lambda t: t * np.sign(x)),
    np.copysign: Elementwise(lambda out, x, y: lambda t: t * (np.sign(x) * np.sign(out)), None),
    np.reciprocal: Elementwise(lambda out, x: lambda t: -t * (out * out)),
    # remainder = x - floor(x / y) * y; fmod the same with trunc
    np.remainder: Elementwise(lambda out, x, y: identity, lambda out, x, y: lambda t: -t * np.floor_divide(x, y)),
    np.fmod: Elementwise(lambda out, x, y: identity, lambda out, x, y: lambda t: -t * np.rint((x - out) / y)),
    np.divmod: Composite(lambda x, y: (np.floor_divide(x, y), np.remainder(x, y))),
    np.modf: Composite(lambda x: (np.fmod(x, 1), np.trunc(x))),
    np.ldexp: Elementwise(lambda out, x, n: lambda t: np.ldexp(t, n), None),
    # the step has a zero derivative, its value at 0 is passed on
    np.heaviside: Elementwise(None, lambda out, x, at_zero: lambda t: t * (x == 0)),
    # powers
    np.square: Elementwise(lambda out, x: lambda t: t * (2 * x)),
    np.power: Elementwise(_power_of_base, _power_of_exponent),
    np.float_power: Elementwise(_power_of_base, _power_of_exponent),
    np.sqrt: Elementwise(lambda out, x: lambda t: t / (2 * out)),
    root: Elementwise(lambda out, x: lambda t: t / np.where(out == 0, np.inf, 2 * out)),
    np.cbrt: Elementwise(lambda out, x: lambda t: t / (3 * out * out)),
    np.hypot: Elementwise(
        lambda out, x, y: lambda t: t * (x / np.where(out == 0, 1, out)),
        lambda out, x, y: lambda t: t * (y / np.where(out == 0, 1, out)),
    ),
    # choosing
    np.maximum: _EXTREMUM,
    np.minimum: _EXTREMUM,
    np.fmax: _EXTREMUM,
    np.fmin: _EXTREMUM,
    np.clip: Composite(_clip),
    limit: Elementwise(
        lambda out, x, low, high: lambda t: np.where(out == x, t, 0),
        lambda out, x, low, high: lambda t: np.where(np.logical_or(out == x, out == high), 0, t),
        lambda out, x, low, high: lambda t: np.where(np.logical_and(out != x, out == high), t, 0),
    ),
    np.where: Composite(_where),
    choose_between: Elementwise(
        None,
        lambda out, condition, x, y: lambda t: np.where(condition, t, 0),
        lambda out, condition, x, y: lambda t: np.where(condition, 0, t),
    ),
    np.nan_to_num: Composite(_nan_to_num),
    np.real_if_close: Composite(lambda a, tol=100: a),
    np.conjugate: Elementwise(lambda out, x: identity),
    np.real: Composite(lambda val: val),
    # exponentials and logarithms
    np.exp: Elementwise(lambda out, x: lambda t: t * out),
    np.exp2: Elementwise(lambda out, x: lambda t: t * (LOG_2 * out)),
    np.expm1: Elementwise(lambda out, x: lambda t: t * np.exp(x)),
    np.log: Elementwise(lambda out, x: lambda t: t / x),
    np.log2: Elementwise(lambda out, x: lambda t: t / (LOG_2 * x)),
    np.log10: Elementwise(lambda out, x: lambda t: t / (LOG_10 * x)),
    np.log1p: Elementwise(lambda out, x: lambda t: t / (1 + x)),
    np.logaddexp: Elementwise(_weight_in_sum(np.exp), _swapped(_weight_in_sum(np.exp))),
    np.logaddexp2: Elementwise(_weight_in_sum(np.exp2), _swapped(_weight_in_sum(np.exp2))),
    # trigonometric
    np.sin: Elementwise(lambda out, x: lambda t: t * np.cos(x)),
    np.cos: Elementwise(lambda out, x: lambda t: -t * np.sin(x)),
    np.tan: Elementwise(lambda out, x: lambda t: t * (1 + out * out)),
    np.arcsin: Elementwise(lambda out, x: lambda t: t / np.sqrt((1 - x) * (1 + x))),
    np.arccos: Elementwise(lambda out, x: lambda t: -t / np.sqrt((1 - x) * (1 + x))),
    np.arctan: Elementwise(lambda out, x: lambda t: t / (1 + x * x)),
    np.arctan2: Elementwise(
        lambda out, y, x: lambda t: _inverse_square(np.hypot(x, y), t * x),
        lambda out, y, x: lambda t: -_inverse_square(np.hypot(x, y), t * y),
    ),
    np.deg2rad: Elementwise(lambda out, x: lambda t: t * (np.pi / 180)),
    np.radians: Elementwise(lambda out, x: lambda t: t * (np.pi / 180)),
    np.rad2deg: Elementwise(lambda out, x: lambda t: t * (180 / np.pi)),
    np.degrees: Elementwise(lambda out, x: lambda t: t * (180 / np.pi)),
    np.sinc: Composite(_sinc),
    # hyperbolic
    np.sinh: Elementwise(lambda out, x: lambda t: t * np.cosh(x)),
    np.cosh: Elementwise(lambda out, x: lambda t: t * np.sinh(x)),
    np.tanh: Elementwise(lambda out, x: lambda t: t * (1 - out * out)),
    np.arcsinh: Elementwise(lambda out, x: lambda t: t / np.hypot(1, x)),
    np.arccosh: Elementwise(lambda out, x: lambda t: t / np.sqrt((x - 1) * (x + 1))),
    np.arctanh: Elementwise(lambda out, x: lambda t: t / ((1 - x) * (1 + x))),
    # functions that purenet adds to NumPy's
    native.relu: Elementwise(lambda out, x: lambda t: np.where(x > 0, t, np.zeros_like(t))),
    native.sigmoid: Elementwise(lambda out, x: lambda t: t * (out * (1 - out))),
    native.softplus: Elementwise(lambda out, x: lambda t: t * native.sigmoid(x)),
    native.erf: Elementwise(lambda out, x: lambda t: t * (_TWO_OVER_ROOT_PI * np.exp(-x * x))),
    # d log_sum_exp(x) = sum(softmax(x) * dx)
    native.log_sum_exp: Primitive(
        lambda out, x: lambda g: g * np.exp(x - out),
        forward=(lambda out, x: lambda t: np.sum(t * np.exp(x - out), axis=-1, keepdims=True),),
    ),
    # d softmax(x) = softmax(x) * (dx - sum(softmax(x) * dx)), a symmetric map
    native.softmax: Primitive(
        lambda out, x: lambda g: out * (g - np.sum(g * out, axis=-1, keepdims=True)),
        forward=(lambda out, x: lambda t: out * (t - np.sum(t * out, axis=-1, keepdims=True)),),
    ),
}
