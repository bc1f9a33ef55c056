"""Portable tangent, inverse trigonometric and hyperbolic functions, cube root and hypotenuse.

Under the same contract as `elementary`: at most 2 units in the last place from the exact value, the same bits anywhere.
"""

from __future__ import annotations

import numpy as np

from purenet.arithmetic import kernels
from purenet.arithmetic.elementwise import (
    Vector,
    canonical_nan,
    decompose,
    decompose_positive,
    elementwise,
    power_of_two,
    scaled,
)
from purenet.arithmetic.scalar import reduce_large_angle

ARCTAN = (
    0.014773184616983806,
    -0.033128134256069586,
    0.04492259293193656,
    -0.05216679739313656,
    0.05876946456755061,
    -0.06666241923359964,
    0.07692285554889286,
    -0.09090908355602592,
    0.11111111096645038,
    -0.14285714285566806,
    0.1999999999999941,
    -0.3333333333333333,
)
"""(atan(t) / t - 1) / z in z = t**2, for |t| <= 7/16: interpolation at Chebyshev nodes."""

ARCSIN = (
    0.02961201126495512,
    -0.01924167174674304,
    0.019554513336123378,
    0.0030448799094556773,
    0.009319560794767446,
    0.009621842970100282,
    0.011566459612121669,
    0.01396378001220357,
    0.017352816540325496,
    0.02237215744350722,
    0.03038194447553234,
    0.044642857142551895,
    0.07500000000000118,
    0.16666666666666666,
)
"""(asin(t) / t - 1) / z in z = t**2, for |t| <= 1/2: interpolation at Chebyshev nodes."""

PI, PI_TAIL = 3.141592653589793, 1.2246467991473532e-16
HALF_PI, HALF_PI_TAIL = 1.5707963267948966, 6.123233995736766e-17

BORDERS = (0.4375, 0.6875, 1.1875, 2.4375)
"""Between them lie the centres of `arctan`."""
CENTRES = (0.0, 0.5, 1.0, 1.5, 0.0)
ARCTAN_OF_CENTRES = (0.0, 0.4636476090008061, 0.7853981633974483, 0.982793723247329, HALF_PI)
ARCTAN_TAILS = (0.0, 2.2698777452961687e-17, 3.061616997868383e-17, 1.3903311031230998e-17, HALF_PI_TAIL)
"""Beyond the last border the centre is infinity."""

THIRD = 0.3333333333333333


def _signed(fresh: Vector, x: Vector) -> Vector:
    """`fresh` with the signs of `x`, but for NaN."""
    return canonical_nan(np.copysign(fresh, x, out=fresh))


@elementwise
def tan(x: Vector) -> Vector:
    """The tangent of `x` radians, sin / cos; NaN for infinities, and the sign of zero is kept."""
    size = np.abs(x)
    k, r, error = kernels.reduce_angle(np.where(size <= kernels.REDUCIBLE, x, 0.0))
    odd = ((k + kernels.ROUNDER).view(np.int64) & 1) == 1
    r[~(size < np.inf)] = np.nan
    for i in np.flatnonzero((size > kernels.REDUCIBLE) & (size < np.inf)):
        quadrant, r[i], error[i] = reduce_large_angle(float(x[i]))
        odd[i] = quadrant & 1
    sine, cosine = kernels.sin_reduced(r, error), kernels.cos_reduced(r, error)
    y = np.where(odd, -cosine, sine) / np.where(odd, sine, cosine)
    y[x == 0.0] = x[x == 0.0]
    return canonical_nan(y)


def _arctan_of_positive(q: Vector) -> Vector:
    """With c the centre nearest to `q`, atan(q) = atan(c) + atan((q - c) / (1 + c * q))."""
    index = np.zeros(q.shape, np.intp)
    for border in BORDERS:
        index += q >= border
    centre = np.take(CENTRES, index)
    t = np.where(index == 4, -1.0 / q, (q - centre) / (1.0 + centre * q))
    z = t * t
    p: Vector = kernels.horner(z, ARCTAN)
    p *= z
    p *= t
    p += np.take(ARCTAN_TAILS, index)
    p += t
    p += np.take(ARCTAN_OF_CENTRES, index)
    return p


@elementwise
def arctan(x: Vector) -> Vector:
    """The inverse tangent, in [-pi/2, pi/2]; keeps the sign of zero."""
    return _signed(_arctan_of_positive(np.abs(x)), x)


@elementwise
def arctan2(y: Vector, x: Vector) -> Vector:
    """The angle of the point (x, y), in [-pi, pi], with the special values of IEEE 754's `atan2`."""
    both = (np.abs(y) == np.inf) & (np.abs(x) == np.inf)
    up, right = np.where(both, 1.0, np.abs(y)), np.where(both, 1.0, np.abs(x))
    angle = _arctan_of_positive(np.where(up == 0.0, 0.0, up / right))
    angle = np.where(np.signbit(x), PI - (angle - PI_TAIL), angle)
    angle[(x != x) | (y != y)] = np.nan
    return _signed(angle, y)


def _arcsin_rest(z: Vector) -> Vector:
    """asin(t) / t - 1 with t = sqrt(z)."""
    p: Vector = kernels.horner(z, ARCSIN)
    p *= z
    return p


def _root_pair(z: Vector) -> tuple[Vector, Vector]:
    """The square root of `z` as a pair."""
    root = np.sqrt(z)
    square, error = kernels.two_product(root, root)
    low = z - square
    low -= error
    low /= np.where(root == 0.0, 1.0, 2.0 * root)
    return root, low


@elementwise
def arcsin(x: Vector) -> Vector:
    """The inverse sine: beyond 1/2, asin(x) = pi / 2 - 2 * asin(sqrt((1 - x) / 2)); NaN beyond 1; keeps -0."""
    size = np.minimum(np.abs(x), 1.0)
    half = (1.0 - size) * 0.5
    root, root_low = _root_pair(half)
    rest = root * _arcsin_rest(half)
    rest += root_low
    outer = HALF_PI - (2.0 * root + (2.0 * rest - HALF_PI_TAIL))
    inner = size + size * _arcsin_rest(size * size)
    y = np.where(size > 0.5, outer, inner)
    y[np.abs(x) > 1.0] = np.nan
    return _signed(y, x)


@elementwise
def arccos(x: Vector) -> Vector:
    """The inverse cosine, in [0, pi]; NaN beyond 1."""
    size = np.minimum(np.abs(x), 1.0)
    half = (1.0 - size) * 0.5
    root, root_low = _root_pair(half)
    rest = root * _arcsin_rest(half)
    rest += root_low
    near_one = 2.0 * (root + rest)
    near_minus_one = PI - (2.0 * root + (2.0 * rest - PI_TAIL))
    middle = HALF_PI - (x - (HALF_PI_TAIL - x * _arcsin_rest(size * size)))
    y = np.where(size <= 0.5, middle, np.where(x > 0.0, near_one, near_minus_one))
    y[~(np.abs(x) <= 1.0)] = np.nan
    return canonical_nan(y)


def _log1p_pair(high: Vector, low: Vector) -> Vector:
    """log(1 + high + low) for high >= 0."""
    total, error = kernels.two_sum(1.0, high)
    error += low
    error /= total
    k, f = decompose(total)
    y: Vector = kernels.log_reduced(k, f, error)
    return y


def _log_of_double(x: Vector) -> Vector:
    """log(2 * x) for x >= 1 and infinity."""
    k, f = decompose_positive(x)
    y: Vector = kernels.log_reduced(k + 1.0, f)
    return np.where(x == np.inf, np.inf, y)


_LARGE = 2.0**30
"""Beyond it, asinh(x) and acosh(x) are log(2 * x) to the last bit."""


@elementwise
def arcsinh(x: Vector) -> Vector:
    """The inverse hyperbolic sine, log1p(t + t**2 / (1 + sqrt(1 + t**2))), t = |x|; keeps the sign of zero."""
    size = np.abs(x)
    t = np.minimum(size, _LARGE)
    square, square_low = kernels.two_product(t, t)
    total, total_low = kernels.two_sum(1.0, square)
    total_low += square_low
    root = np.sqrt(total)
    divisor, divisor_low = kernels.two_sum(1.0, root)
    own, own_low = kernels.two_product(root, root)
    divisor_low += (((total - own) - own_low) + total_low) / (2.0 * root)
    high, low = kernels.two_sum(t, kernels.quotient(square, square_low, divisor, divisor_low))
    y = np.where(size > _LARGE, _log_of_double(np.maximum(size, 1.0)), _log1p_pair(high, low))
    y[x != x] = np.nan
    return _signed(y, x)


@elementwise
def arccosh(x: Vector) -> Vector:
    """The inverse hyperbolic cosine, log1p(t + sqrt(2 * t + t**2)), t = x - 1; NaN below 1."""
    inside = np.where((x >= 1.0) & (x <= _LARGE), x, 1.0)
    t = inside - 1.0
    t_low = inside - t
    t_low -= 1.0
    other, other_low = kernels.two_sum(inside, 1.0)
    product, product_low = kernels.two_product(t, other)
    product_low += t * other_low
    product_low += t_low * other
    root = np.sqrt(product)
    own, own_low = kernels.two_product(root, root)
    root_low = (((product - own) - own_low) + product_low) / np.where(root == 0.0, 1.0, 2.0 * root)
    high, low = kernels.two_sum(t, root)
    low += root_low
    low += t_low
    y = np.where(x > _LARGE, _log_of_double(np.maximum(x, 1.0)), _log1p_pair(high, low))
    y[~(x >= 1.0)] = np.nan
    return y


@elementwise
def arctanh(x: Vector) -> Vector:
    """The inverse hyperbolic tangent, log1p(2 * t / (1 - t)) / 2, t = |x|; NaN beyond 1; keeps the sign of zero."""
    size = np.abs(x)
    inside = np.where(size < 1.0, size, 0.0)
    divisor, divisor_low = kernels.two_sum(1.0, -inside)
    ratio = kernels.quotient(2.0 * inside, 0.0, divisor, divisor_low)
    y = 0.5 * _log1p_pair(ratio, np.zeros_like(ratio))
    y = np.where(size == 1.0, np.inf, y)
    y[~(size <= 1.0)] = np.nan
    return _signed(y, x)


@elementwise
def cbrt(x: Vector) -> Vector:
    """The cube root: exp(log(m) / 3), and one step of Newton's iteration with an exact residue; keeps the sign of 0.

    |x| = 2**(3 * q) * m, with m between sqrt(1/2) and 4 * sqrt(2).
    """
    size = np.abs(x)
    k, f = decompose_positive(size)
    q = np.floor(k * THIRD + 0.1)
    left = k - 3.0 * q
    m = (1.0 + f) * power_of_two(left)
    scale, r, p = kernels.reduce_exp(kernels.log_reduced(left, f) * THIRD)
    y = (1.0 + (r + p)) * power_of_two(scale)
    square, square_low = kernels.two_product(y, y)
    cube, cube_low = kernels.two_product(square, y)
    cube_low += square_low * y
    y += ((m - cube) - cube_low) / (3.0 * square)
    y = scaled(y, q)
    y = np.where((size == 0.0) | ~(size < np.inf), size, y)
    return _signed(y, x)


@elementwise
def hypot(x: Vector, y: Vector) -> Vector:
    """sqrt(x**2 + y**2), scaled by a power of two so that no square overflows; inf if one is infinite, NaN or not."""
    larger, smaller = np.maximum(np.abs(x), np.abs(y)), np.minimum(np.abs(x), np.abs(y))
    k, _ = decompose_positive(larger)
    a, b = scaled(larger.copy(), -k), scaled(smaller.copy(), -k)
    out = scaled(np.sqrt(a * a + b * b), k)
    out = np.where(larger == 0.0, 0.0, out)
    out[(np.abs(x) == np.inf) | (np.abs(y) == np.inf)] = np.inf
    return canonical_nan(out)
