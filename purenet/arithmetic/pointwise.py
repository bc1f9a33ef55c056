"""Functions of numbers that NumPy leaves open, or computes otherwise, as the contract has them.

They take the arguments of NumPy's own functions, and give results of the same dtypes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import MappingProxyType
from typing import Any

import numpy as np

from purenet.arithmetic import elementary, sums
from purenet.arithmetic.elementwise import Vector, canonical_nan, elementwise, scaled
from purenet.arithmetic.kernels import INVERSE_LN2, LN2
from purenet.arithmetic.native import rectified
from purenet.arithmetic.promotion import agreeing, common_dtype, float_dtype, refuse
from purenet.arithmetic.slicing import ZERO
from purenet.arithmetic.sums import plus_zero
from purenet.errors import ArgumentError, DtypeError

DEGREES_PER_RADIAN = 57.29577951308232
RADIANS_PER_DEGREE = 0.017453292519943295


def like_ufunc(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function made by `elementwise`, with the dtypes of NumPy's ufuncs."""

    @wraps(function)
    def call(*arguments: Any, dtype: Any = None, **options: Any) -> Any:
        first = arguments[0]
        if len(arguments) == 1 and type(first) is np.ndarray and first.dtype.char in "df" and not options:
            return function(first if dtype is None else first.astype(dtype, copy=False))
        refuse(function.__name__, **options)
        result = float_dtype(common_dtype(arguments) if dtype is None else np.dtype(dtype))
        return function(*[np.asarray(argument).astype(result, copy=False) for argument in arguments])

    return call


def as_floats(*arguments: Any) -> list[Any]:
    """The arguments as arrays of the dtype that a ufunc would compute in, if that is a floating one."""
    dtype = common_dtype(arguments)
    if dtype.kind == "f":
        dtype = float_dtype(dtype)
    return [np.asarray(argument).astype(dtype, copy=False) for argument in arguments]


# Choices between numbers. NumPy leaves the sign of a zero to the processor; here it is +0.

_maximum, _minimum = agreeing(np.maximum), agreeing(np.minimum)


def maximum(x1: Any, x2: Any, **options: Any) -> Any:
    """`np.maximum`; NaN if one is NaN."""
    return plus_zero(_maximum(x1, x2, **options))


def minimum(x1: Any, x2: Any, **options: Any) -> Any:
    """`np.minimum`; NaN if one is NaN."""
    return plus_zero(_minimum(x1, x2, **options))


def fmax(x1: Any, x2: Any, **options: Any) -> Any:
    """`np.fmax`; the other if one is NaN."""
    return maximum(*_others_of_nan(x1, x2), **options)


def fmin(x1: Any, x2: Any, **options: Any) -> Any:
    """`np.fmin`; the other if one is NaN."""
    return minimum(*_others_of_nan(x1, x2), **options)


def _others_of_nan(x1: Any, x2: Any) -> tuple[Any, Any]:
    """Both, each with the other's number where it is NaN: some processors tell a signalling NaN from a quiet one."""
    x, y = as_floats(x1, x2)
    return np.where(np.isnan(x), y, x)[()], np.where(np.isnan(y), x, y)[()]


def clip(
    a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None, **options: Any
) -> Any:
    """`np.clip` as `minimum(maximum(a, a_min), a_max)`."""
    refuse("clip", out=out)
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    a = a if hasattr(a, "dtype") else np.asarray(a)
    if low is not None:
        a = _maximum(a, low, **options)
    if high is not None:
        a = _minimum(a, high, **options)
    return np.array(a) if low is None and high is None else plus_zero(a)


# The bits of a NaN mean nothing, its sign neither.


def signbit(x: Any, **options: Any) -> Any:
    """`np.signbit`; False for NaN."""
    return np.logical_and(np.signbit(x, **options), np.equal(x, x))


def copysign(x1: Any, x2: Any) -> Any:
    """`np.copysign`; the sign of a NaN counts as +."""
    x, y = as_floats(x1, x2)
    return np.copysign(x, np.where(np.isnan(y), y.dtype.type(1), y)) if y.dtype.kind == "f" else np.copysign(x, y)


# Rounding, remainders, scaling.


def rounded(a: Any, decimals: int = 0, out: Any = None) -> Any:
    """`np.round`: `rint(a * 10**decimals) / 10**decimals`, and `rint(a / 10**-decimals) * 10**-decimals` below 0."""
    refuse("round", out=out)
    a = a if hasattr(a, "dtype") else np.asarray(a)
    if a.dtype.kind != "f":
        return np.round(a, decimals)
    if decimals == 0:
        return np.rint(a)
    factor = a.dtype.type(10 ** abs(int(decimals)))
    return np.rint(a * factor) / factor if decimals > 0 else np.rint(a / factor) * factor


def whole(function: Callable[..., Any]) -> Callable[..., Any]:
    """`np.floor` or its kin: integers stay what they are, as in NumPy 2."""

    def call(x: Any, **options: Any) -> Any:
        refuse(function.__name__, **options)
        return np.array(x)[()] if np.asarray(x).dtype.kind in "biu" else function(x)

    return call


def divmod_(x1: Any, x2: Any) -> tuple[Any, Any]:
    """`np.divmod`, from `fmod`, which is exact."""
    x, y = as_floats(x1, x2)
    if x.dtype.kind != "f":
        return np.divmod(x, y)
    with np.errstate(all="ignore"):
        remainder = np.fmod(x, y)
        quotient = (x - remainder) / y
        other_sign = (remainder != 0) & ((remainder < 0) != (y < 0))
        remainder = np.where(
            other_sign, remainder + y, np.where(remainder == 0, np.copysign(y.dtype.type(0), y), remainder)
        )
        quotient = np.where(other_sign, quotient - y.dtype.type(1), quotient)
        whole = np.floor(quotient)
        whole += quotient - whole > 0.5
        whole = np.where(quotient == 0, np.copysign(quotient.dtype.type(0), x / y), whole)
        by_zero = y == 0
        return np.where(by_zero, x / y, whole)[()].astype(x.dtype), np.where(by_zero, np.nan, remainder)[()].astype(
            x.dtype
        )


def floor_divide(x1: Any, x2: Any) -> Any:
    """`np.floor_divide`."""
    return divmod_(x1, x2)[0]


def remainder(x1: Any, x2: Any) -> Any:
    """`np.remainder`."""
    return divmod_(x1, x2)[1]


def ldexp(x1: Any, x2: Any) -> Any:
    """`np.ldexp`, rounded once."""
    x, n = np.broadcast_arrays(x1, x2)
    if n.dtype.kind not in "iub":
        raise ArgumentError(f"expected integers for exponents, got {n.dtype}", path="np.ldexp")
    result = float_dtype(x.dtype)
    fraction, exponent = np.frexp(x.astype(np.float64))
    shift = np.clip(n.astype(np.int64), -5000, 5000) + exponent
    with np.errstate(all="ignore"):
        flat = scaled(fraction.reshape(-1), np.clip(shift, -2000, 2000).reshape(-1).astype(np.float64))
        return flat.reshape(x.shape).astype(result)[()]


def frexp(x: Any) -> tuple[Any, Any]:
    """`np.frexp`; the exponent of infinity and NaN, which C leaves open, is 0."""
    fraction, exponent = np.frexp(x)
    return fraction, np.where(np.isfinite(x), exponent, exponent.dtype.type(0))[()]


def converted(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """`np.astype`.

    Raises:
        ArgumentError: if a float outside the range of an integer dtype, or NaN, would become an integer, which C leaves
            to the processor.
        DtypeError: if the dtype is complex or wider than 64 bits.
    """
    x, dtype = np.asarray(x), np.dtype(dtype)
    if dtype.kind == "c" or (dtype.kind == "f" and dtype.itemsize > 8):
        raise DtypeError(f"expected a real dtype of at most 64 bits, got {dtype}", path="np.astype")
    if dtype.kind in "iu" and x.dtype.kind == "f" and x.size:
        limits = np.iinfo(dtype)
        whole = np.trunc(x.astype(np.float64))
        if not ((whole >= float(limits.min)) & (whole < float(limits.max) + (dtype.itemsize < 7))).all():
            raise ArgumentError(f"expected numbers that {dtype} can hold; clip them first", path="np.astype")
    return x.astype(dtype, copy=copy)


# Powers and logarithms.


def power(x1: Any, x2: Any, *, dtype: Any = None) -> Any:
    """`np.power`: for exponents 2, 1, 0.5 and -1 the one operation that it is; of integers exact modulo 2**64."""
    common = common_dtype((x1, x2)) if dtype is None else np.dtype(dtype)
    if common.kind in "biu":
        return np.power(np.asarray(x1, common), np.asarray(x2, common))
    common = float_dtype(common)
    x = np.asarray(x1).astype(common, copy=False)
    if np.ndim(x2) == 0:
        exponent = float(x2)
        simple = _SIMPLE_POWERS.get(exponent)
        return elementary.power(x, common.type(exponent)) if simple is None else simple(x)[()]
    y = np.asarray(x2).astype(common, copy=False)
    result = np.asarray(elementary.power(x, y))
    for exponent, simple in _SIMPLE_POWERS.items():
        hit = y == exponent
        if hit.any():
            with np.errstate(all="ignore"):
                result = np.where(hit, simple(x), result)
    return result[()]


_SIMPLE_POWERS: MappingProxyType[float, Callable[[Any], Any]] = MappingProxyType(
    {2.0: np.square, 1.0: np.positive, 0.5: np.sqrt, -1.0: np.reciprocal}
)


def float_power(x1: Any, x2: Any) -> Any:
    """`np.float_power`: the power in float64."""
    return power(x1, x2, dtype=np.float64)


@elementwise
def logaddexp(x: Vector, y: Vector) -> Vector:
    """max(x, y) + log1p(exp(-|x - y|))."""
    top = np.maximum(x, y)
    return np.where(x == y, top + LN2, top + elementary.softplus(-np.abs(x - y)))


@elementwise
def logaddexp2(x: Vector, y: Vector) -> Vector:
    """max(x, y) + log1p(exp2(-|x - y|)) / log(2)."""
    top = np.maximum(x, y)
    return np.where(x == y, top + 1.0, top + elementary.log1p(elementary.exp2(-np.abs(x - y))) * INVERSE_LN2)


@elementwise
def degrees(x: Vector) -> Vector:
    """x * 180 / pi, with one multiplication."""
    return canonical_nan(x * DEGREES_PER_RADIAN)


@elementwise
def radians(x: Vector) -> Vector:
    """x * pi / 180, with one multiplication."""
    return canonical_nan(x * RADIANS_PER_DEGREE)


# Functions of purenet.


def relu(x: Any) -> Any:
    """max(x, 0)."""
    if x.__class__ is not np.ndarray or not x.shape or x.dtype.kind != "f":
        return maximum(x, 0)
    y = rectified(x)
    y += ZERO if y.dtype.char == "d" else y.dtype.type(0)
    return y


def log_sum_exp(x: Any) -> Any:
    """`top + log(sum(exp(x - top)))` over the last axis, `top` the largest."""
    top = sums.largest(x, -1, None, True)
    return top + _log(sums.total(_exp(x - top), -1, None, None, True))


def softmax(x: Any) -> Any:
    """`exp(x - top) / sum(exp(x - top))` over the last axis, `top` the largest."""
    powers = _exp(x - sums.largest(x, -1, None, True))
    powers /= sums.total(powers, -1, None, None, True)
    return powers


_exp, _log = like_ufunc(elementary.exp), like_ufunc(elementary.log)
