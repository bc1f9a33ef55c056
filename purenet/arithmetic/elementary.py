"""The elementary functions of portable arithmetic, contract `portable-1`: the same bits on every machine.

They are built only from operations that IEEE 754 fixes to the last bit (`+ - * /`, `sqrt`, comparisons, rounding to
integers, scaling by powers of two) and from integer and bit operations: never from libm, NumPy's SIMD functions, sums
or BLAS. They take arrays or numbers. float64 in gives float64 out, at most 2 units in the last place from the exact
value (mostly below 1); narrower floats are computed in float64 and rounded once; integers count as float64. NaN comes
out as the one bit pattern of `np.nan`. No floating-point warning escapes. `special` has further functions under the
same contract, and `scalar` has some for Python floats, with the same bits.
"""

from __future__ import annotations

import numpy as np

from purenet.arithmetic import kernels
from purenet.arithmetic.elementwise import (
    LARGEST,
    SMALLEST_NORMAL,
    Vector,
    canonical_nan,
    decompose,
    decompose_positive,
    elementwise,
    power_of_two,
    scaled,
    within,
)
from purenet.arithmetic.scalar import reduce_large_angle

INVERSE_LN2_TAIL = 2.0355273740931033e-17
INVERSE_LN10 = 0.4342944819032518
INVERSE_LN10_TAIL = 1.098319650216765e-17
LOG10_OF_2_HIGH = 0.30102999566395283
"""The first 42 bits of log10(2)."""
LOG10_OF_2_LOW = 2.8363394551044964e-14

LARGEST_EXPONENT = 2.0**65
"""Any power of a float64 but 1 to an exponent of this size is 0 or inf."""

_LARGE = 40.0
"""Beyond this, exp(-x) is far below the last bit of exp(x)."""


@elementwise
def exp(x: Vector) -> Vector:
    """e to the power `x`: 2**k * exp(r), r = x - k * log(2).

    exp(-inf) = 0, exp(inf) = inf; overflow gives inf and underflow a correctly scaled subnormal number or 0.
    """
    ordinary = within(x, -708.0, 709.0)
    k, r, p = kernels.reduce_exp(x if ordinary else np.clip(x, -746.0, 710.0))
    y: Vector = r + p
    y += 1.0
    if not ordinary:
        return canonical_nan(scaled(y, k))
    y *= power_of_two(k)
    return y


@elementwise
def exp2(x: Vector) -> Vector:
    """2 to the power `x`; exact for integers."""
    bounded = np.clip(x, -1076.0, 1025.0)
    k = np.rint(bounded)
    fraction = bounded - k
    r, error = kernels.two_product(fraction, kernels.LN2)
    error += fraction * kernels.LN2_TAIL
    y: Vector = kernels.small_exp(r)
    y += error
    y += r
    y += 1.0
    return canonical_nan(scaled(y, k))


def _expm1_pair(x: Vector) -> tuple[Vector, Vector]:
    """expm1 as a pair, for -60 <= x <= 709."""
    k, r, p = kernels.reduce_exp(x)
    pair: tuple[Vector, Vector] = kernels.expm1_pair(power_of_two(k), r, p)
    return pair


@elementwise
def expm1(x: Vector) -> Vector:
    """exp(x) - 1, good for small `x` too; keeps the sign of zero."""
    ordinary = within(x, -60.0, 709.0)
    high, low = _expm1_pair(x if ordinary else np.clip(x, -60.0, 709.0))
    high += low
    if not ordinary:
        high = np.where(x > 709.0, exp(x), high)
    return _odd(high, x)


@elementwise
def sinh(x: Vector) -> Vector:
    """The hyperbolic sine, (exp(x) - exp(-x)) / 2; keeps the sign of zero."""
    size = np.abs(x)
    t, t_low = _expm1_pair(np.minimum(size, _LARGE))
    divisor, divisor_low = kernels.two_sum(t, 1.0)
    divisor_low += t_low
    high, low = kernels.fast_two_sum(t, kernels.quotient(t, t_low, divisor, divisor_low))
    low += t_low
    high += low
    high *= 0.5
    return _odd(_with_large(high, size), x)


@elementwise
def cosh(x: Vector) -> Vector:
    """The hyperbolic cosine, (exp(x) + exp(-x)) / 2."""
    size = np.abs(x)
    e, e_low = _exp_pair(np.minimum(size, _LARGE))
    high, low = kernels.fast_two_sum(e, kernels.quotient(1.0, 0.0, e, e_low))
    low += e_low
    high += low
    high *= 0.5
    return _with_large(high, size)


def _with_large(fresh: Vector, size: Vector) -> Vector:
    """exp(size) / 2 where that is sinh and cosh, and NaN where `size` is NaN; `fresh` elsewhere."""
    if size.max() <= _LARGE:
        return fresh
    k, r, p = kernels.reduce_exp(np.minimum(size, 712.0))
    half_exp = scaled(r + p + 1.0, k - 1.0)  # it does not overflow before its value does
    return canonical_nan(np.where(size > _LARGE, half_exp, fresh))


def _odd(fresh: Vector, x: Vector) -> Vector:
    """`fresh` with the signs of `x`, but for NaN."""
    np.copysign(fresh, x, out=fresh)
    return fresh if x.max() <= np.inf else canonical_nan(fresh)


@elementwise
def tanh(x: Vector) -> Vector:
    """The hyperbolic tangent, t / (t + 2) with t = expm1(2 * x); keeps the sign of zero."""
    t, t_low = _expm1_pair(2.0 * np.minimum(np.abs(x), 22.0))
    divisor, divisor_low = kernels.two_sum(t, 2.0)
    divisor_low += t_low
    return _odd(kernels.quotient(t, t_low, divisor, divisor_low), x)


def _exp_pair(x: Vector) -> tuple[Vector, Vector]:
    """exp as a pair, for |x| <= 700."""
    k, r, p = kernels.reduce_exp(x)
    high, low = kernels.exp_pair(r, p)
    scale = power_of_two(k)
    high *= scale
    low *= scale
    return high, low


@elementwise
def sigmoid(x: Vector) -> Vector:
    """The logistic function, 1 / (1 + exp(-x)), with no loss for large negative `x`."""
    e, e_low = _exp_pair(np.maximum(-np.abs(x), -700.0))
    divisor, divisor_low = kernels.fast_two_sum(1.0, e)
    divisor_low += e_low
    t = kernels.quotient(e, e_low, divisor, divisor_low)
    np.copysign(t, x, out=t)
    out = np.copysign(0.5, x)
    out += 0.5
    out -= t
    return _with_tiny(out, x)


@elementwise
def softplus(x: Vector) -> Vector:
    """log(1 + exp(x)), with no overflow for large `x` and no loss for large negative `x`."""
    e, e_low = _exp_pair(np.maximum(-np.abs(x), -700.0))
    total, error = kernels.fast_two_sum(1.0, e)
    error += e_low
    error /= total
    k, f = decompose(total)
    out: Vector = kernels.log_reduced(k, f, error)
    out += np.maximum(x, 0.0)
    return _with_tiny(out, x)


def _with_tiny(fresh: Vector, x: Vector) -> Vector:
    """exp(x) where `x` is below -700, for there sigmoid and softplus equal it; NaN where `x` is NaN."""
    if x.min() >= -700.0:
        return fresh
    return canonical_nan(np.where(x < -700.0, exp(x), fresh))


@elementwise
def log(x: Vector) -> Vector:
    """The natural logarithm; log(0) = -inf, log(inf) = inf, NaN for negative `x`."""
    if within(x, SMALLEST_NORMAL, LARGEST):
        y: Vector = kernels.log_reduced(*decompose(x))
        return y
    return _log_limits(kernels.log_reduced(*decompose_positive(x)), x)


def _log_limits(fresh: Vector, x: Vector) -> Vector:
    """`fresh` with the values that a logarithm has at 0, infinity, and where it has none."""
    fresh[x == 0.0] = -np.inf
    fresh[x == np.inf] = np.inf
    fresh[~(x >= 0.0)] = np.nan
    return fresh


@elementwise
def log1p(x: Vector) -> Vector:
    """log(1 + x), good for small `x` too; keeps the sign of zero."""
    ordinary = within(x, -0.9999999999999999, LARGEST)
    inside = x if ordinary else np.where((x > -1.0) & (x <= LARGEST), x, 0.0)
    total, error = kernels.two_sum(1.0, inside)
    error /= total
    k, f = decompose(total)
    y: Vector = kernels.log_reduced(k, f, error)
    np.copysign(y, inside, out=y)
    if not ordinary:
        y[x == -1.0] = -np.inf
        y[x == np.inf] = np.inf
        y[~(x >= -1.0)] = np.nan
    return y


@elementwise
def log2(x: Vector) -> Vector:
    """The logarithm to base 2; exact for powers of two."""
    k, f = decompose_positive(x)
    product, error = kernels.times_constant(*kernels.small_log_pair(f), kernels.INVERSE_LN2, INVERSE_LN2_TAIL)
    return _log_limits(_joined(k, product, error), x)


@elementwise
def log10(x: Vector) -> Vector:
    """The logarithm to base 10; exact for the powers of ten that float64 holds exactly."""
    k, f = decompose_positive(x)
    product, error = kernels.times_constant(*kernels.small_log_pair(f), INVERSE_LN10, INVERSE_LN10_TAIL)
    error += k * LOG10_OF_2_LOW
    return _log_limits(_joined(k * LOG10_OF_2_HIGH, product, error), x)


def _joined(whole: Vector, product: Vector, error: Vector) -> Vector:
    """whole + product + error, for a `whole` that is 0 or the largest."""
    high, low = kernels.fast_two_sum(whole, product)
    low += error
    joined: Vector = high + low
    return joined


@elementwise
def power(x: Vector, y: Vector) -> Vector:
    """`x` to the power `y`: exp(y * log(x)), with 66 bits of the logarithm.

    Special values are those of IEEE 754's `pow`: anything to the power 0, and 1 to any power, is 1 (NaN too); a
    negative number has a power only for integers `y`, and NaN otherwise.
    """
    ordinary = within(x, SMALLEST_NORMAL, LARGEST) and within(y, -LARGEST_EXPONENT, LARGEST_EXPONENT)
    exponent = np.clip(y, -LARGEST_EXPONENT, LARGEST_EXPONENT)
    high, low = kernels.log_pair(*(decompose(x) if ordinary else decompose_positive(np.abs(x))))
    product, error = kernels.two_product(exponent, high)
    error += exponent * low
    error[~(np.abs(product) < 746.0)] = 0.0
    k, r, p = kernels.reduce_exp(np.clip(product, -746.0, 710.0), error)
    out, rest = kernels.exp_pair(r, p)
    out = scaled(out + rest, k)
    return out if ordinary else _power_limits(out, x, y)


def _power_limits(fresh: Vector, x: Vector, y: Vector) -> Vector:
    """`fresh`, the power of |x|, with the sign and the special values that IEEE 754 asks for."""
    whole = np.rint(y) == y
    odd = whole & (np.abs(y) < 2.0**53) & (np.rint(y * 0.5) != y * 0.5)
    zero, infinite = x == 0.0, np.abs(x) == np.inf
    fresh[(zero & (y > 0.0)) | (infinite & (y < 0.0))] = 0.0
    fresh[(zero & (y < 0.0)) | (infinite & (y > 0.0))] = np.inf
    np.negative(fresh, out=fresh, where=np.signbit(x) & odd)
    fresh[(x < 0.0) & ~infinite & ~whole] = np.nan
    fresh[(x != x) | (y != y)] = np.nan
    fresh[(y == 0.0) | (x == 1.0)] = 1.0
    return fresh


@elementwise
def sin(x: Vector) -> Vector:
    """The sine of `x` radians; NaN for infinities, and the sign of zero is kept.

    Angles beyond 2**20 are reduced one by one with integers, which takes some microseconds each.
    """
    return _sine(x, 0)


@elementwise
def cos(x: Vector) -> Vector:
    """The cosine of `x` radians; NaN for infinities.

    Angles beyond 2**20 are reduced one by one with integers, which takes some microseconds each.
    """
    return _sine(x, 1)


def _sine(x: Vector, quarter_turns: int) -> Vector:
    """The sine of x + quarter_turns * pi / 2."""
    size = np.abs(x)
    k, r, error = kernels.reduce_angle(np.where(size <= kernels.REDUCIBLE, x, 0.0))
    quadrant = (k + kernels.ROUNDER).view(np.int64)
    r[~(size < np.inf)] = np.nan
    for i in np.flatnonzero((size > kernels.REDUCIBLE) & (size < np.inf)):
        quadrant[i], r[i], error[i] = reduce_large_angle(float(x[i]))
    quadrant += quarter_turns
    sine: Vector = kernels.sin_reduced(r, error)
    cosine: Vector = kernels.cos_reduced(r, error)
    y = np.where((quadrant & 1) == 1, cosine, sine)
    np.negative(y, out=y, where=(quadrant & 2) != 0)
    if quarter_turns == 0:
        y[x == 0.0] = x[x == 0.0]
    return canonical_nan(y)
