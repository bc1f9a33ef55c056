"""The polynomial cores of the elementary functions, written once for arrays and for Python floats.

Every function here takes either float64 arrays or Python floats and uses nothing but `+ - * /`, which IEEE 754 fixes to
the last bit; so the array functions and the functions of `scalar` give the same bits by construction. None changes an
argument: in-place operators act on values allocated in the same function (on a float they only rebind the name).

A pair `(high, low)` stands for the unrounded sum `high + low`, with `low` below the last bit of `high`.

The coefficients are interpolations at Chebyshev nodes, made with 70 digits and rounded to float64; the tests make them
again and compare. Each tuple begins with the coefficient of the highest power.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Real: TypeAlias = Any
"""A Python float or a float64 array."""

SPLITTER = 134217729.0
"""2**27 + 1: Veltkamp's constant, which cuts the 53 bits of a float into two halves."""

ROUNDER = 6755399441055744.0
"""1.5 * 2**52: adding and subtracting it rounds to the nearest integer, ties to even."""

LN2 = 0.6931471805599453
LN2_TAIL = 2.3190468138462996e-17
LN2_HIGH = 0.6931471805598903
"""The first 42 bits of log(2): times an integer of 11 bits it is exact."""
LN2_LOW = 5.497923018708371e-14
INVERSE_LN2 = 1.4426950408889634

HALF_PI_PARTS = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21)
"""pi / 2 in three pieces of 33 bits: times an integer of 20 bits each is exact."""
HALF_PI_REST = 8.4784276603689e-32
INVERSE_HALF_PI = 0.6366197723675814

REDUCIBLE = 1048576.0
"""2**20: up to here `reduce_angle` is good; beyond it an angle is reduced with integers."""

EXP = (
    4.1437662804024295e-08,
    -1.6534060033836456e-06,
    6.613756471622828e-05,
    -0.0027777777777564404,
    0.1666666666666666,
)
"""(r * coth(r / 2) - 2) / z in z = r**2, for |r| <= log(2) / 2."""

LOG = (
    0.14616449685043406,
    0.15331721600556042,
    0.18182889125261723,
    0.2222221113479508,
    0.28571428625975487,
    0.39999999999899505,
    0.666666666666667,
)
"""2 * (atanh(s) - s) / s**3 in z = s**2, for s <= (sqrt(2) - 1) / (sqrt(2) + 1)."""

LOG_REST = (
    0.058615255140488765,
    0.05853124270461193,
    0.06667402119112673,
    0.07692297485447729,
    0.09090909167657202,
    0.11111111110828116,
    0.14285714285714682,
    0.2,
)
"""(atanh(s) / s - 1 - z / 3) / z**2 in z = s**2, on the same range."""

THIRD = 0.3333333333333333
THIRD_TAIL = 1.850371707708594e-17

SIN = (
    -7.586685070091267e-13,
    1.605853141458901e-10,
    -2.5052106231157904e-08,
    2.7557319219335453e-06,
    -0.0001984126984126506,
    0.008333333333333331,
    -0.16666666666666666,
)
"""(sin(r) - r) / r**3 in z = r**2, for |r| <= pi / 4."""

COS = (
    -1.1382614868556325e-11,
    2.0876146024689747e-09,
    -2.7557317270560326e-07,
    2.4801587298763433e-05,
    -0.0013888888888887395,
    0.041666666666666664,
)
"""(cos(r) - 1 + z / 2) / z**2 in z = r**2, for |r| <= pi / 4."""


def horner(z: Real, coefficients: tuple[float, ...]) -> Real:
    """The polynomial with these coefficients, highest power first, at `z`, by Horner's rule."""
    p = z * coefficients[0]
    p += coefficients[1]
    for coefficient in coefficients[2:]:
        p *= z
        p += coefficient
    return p


def split(a: Real) -> tuple[Real, Real]:
    """`a` as the exact sum of two floats of at most 26 bits each (Veltkamp)."""
    high = a * SPLITTER
    rest = high - a
    high -= rest
    return high, a - high


def two_product(a: Real, b: Real) -> tuple[Real, Real]:
    """`a * b` as a pair, exact unless it underflows (Dekker)."""
    product = a * b
    a_high, a_low = split(a)
    b_high, b_low = split(b)
    error = a_high * b_high
    error -= product
    error += a_high * b_low
    error += a_low * b_high
    error += a_low * b_low
    return product, error


def two_sum(a: Real, b: Real) -> tuple[Real, Real]:
    """`a + b` as a pair, exact (Knuth)."""
    total = a + b
    b_part = total - a
    a_part = total - b_part
    error = a - a_part
    error += b - b_part
    return total, error


def fast_two_sum(a: Real, b: Real) -> tuple[Real, Real]:
    """`a + b` as a pair, exact where |a| >= |b| or a = 0."""
    total = a + b
    error = a - total
    error += b
    return total, error


def quotient(high: Real, low: Real, divisor_high: Real, divisor_low: Real) -> Real:
    """`(high + low) / (divisor_high + divisor_low)`, rounded once but for 2**-25 of the last bit.

    The first half of the quotient's bits times either half of the divisor's is exact, so what is left of the
    dividend is known to the bit; the second division makes the other half of the quotient from it.
    """
    front, _ = split(high / divisor_high)
    head, tail = split(divisor_high)
    rest = front * head
    rest = high - rest
    rest -= front * tail
    rest -= front * divisor_low
    rest += low
    rest /= divisor_high
    rest += front
    return rest


def reduce_exp(x: Real, tail: Real = None) -> tuple[Real, Real, Real]:
    """`(k, r, p)` with exp(x + tail) = 2**k * (1 + r + p), k an integer, |r| <= log(2) / 2 and |p| < |r| or tiny.

    For |x| <= 1100. `tail` is the low part of a pair. x - k * LN2_HIGH is exact, so `r` is; `p` takes up the rest.
    """
    k = x * INVERSE_LN2
    k += ROUNDER
    k -= ROUNDER
    r = x - k * LN2_HIGH
    correction = k * LN2_LOW
    if tail is not None:
        correction -= tail
    p = small_exp(r - correction)
    p -= correction
    return k, r, p


def small_exp(r: Real) -> Real:
    """exp(r) - 1 - r for |r| <= log(2) / 2.

    With c = r - (r * coth(r / 2) - 2) it is r * c / (2 - c): the same bits' worth from half the coefficients.
    """
    z = r * r
    p = horner(z, EXP)
    p *= z
    p = r - p
    divisor = 2.0 - p
    p *= r
    p /= divisor
    return p


def exp_pair(r: Real, p: Real) -> tuple[Real, Real]:
    """1 + r + p as a pair."""
    s, s_low = fast_two_sum(r, p)
    high, low = fast_two_sum(1.0, s)
    low += s_low
    return high, low


def expm1_pair(scale: Real, r: Real, p: Real) -> tuple[Real, Real]:
    """scale * (1 + r + p) - 1 as a pair, for `scale` a power of two."""
    s, s_low = fast_two_sum(r, p)
    s *= scale
    s_low *= scale
    high, low = fast_two_sum(scale - 1.0, s)
    low += s_low
    return high, low


def log_reduced(k: Real, f: Real, correction: Real = None) -> Real:
    """log(2**k * (1 + f)) + correction, for 1 + f between sqrt(1/2) and sqrt(2).

    With s = f / (2 + f), log(1 + f) = 2 * atanh(s) = f - (f**2 / 2 - s * (f**2 / 2 + z * LOG(z))), z = s**2.
    """
    s = f + 2.0
    s = f / s
    z = s * s
    p = horner(z, LOG)
    p *= z
    half_square = f * f
    half_square *= 0.5
    p += half_square
    p *= s
    p += k * LN2_LOW
    if correction is not None:
        p += correction
    p = half_square - p
    p -= f
    return k * LN2_HIGH - p


def small_log_pair(f: Real) -> tuple[Real, Real]:
    """log(1 + f) as a pair good to about 2**-66 of its value, for 1 + f between sqrt(1/2) and sqrt(2).

    log(1 + f) = 2 * s * (1 + z / 3 + z**2 * LOG_REST(z)): s, z and z / 3 are pairs, the last term a float.
    """
    divisor, divisor_low = fast_two_sum(2.0, f)
    s = f / divisor
    product, error = two_product(s, divisor)
    rest = f - product
    rest -= error
    rest -= s * divisor_low
    s_low = rest / divisor
    z, z_low = two_product(s, s)
    z_low += 2.0 * s * s_low
    third, third_low = two_product(z, THIRD)
    third_low += z * THIRD_TAIL
    third_low += z_low * THIRD
    tail = horner(z, LOG_REST)
    tail *= z
    tail *= z
    u, u_low = fast_two_sum(third, tail)
    u_low += third_low
    v, v_low = two_product(s, u)
    v_low += s * u_low
    v_low += s_low * u
    high, low = fast_two_sum(s, v)
    low += v_low
    low += s_low
    return 2.0 * high, 2.0 * low


def log_pair(k: Real, f: Real) -> tuple[Real, Real]:
    """log(2**k * (1 + f)) as a pair good to about 2**-66 of its value."""
    small, small_low = small_log_pair(f)
    high, low = fast_two_sum(k * LN2_HIGH, small)
    low += small_low
    low += k * LN2_LOW
    return fast_two_sum(high, low)


def times_constant(high: Real, low: Real, constant: float, constant_tail: float) -> tuple[Real, Real]:
    """The pair `(high, low)` times a constant given as a pair."""
    product, error = two_product(high, constant)
    error += high * constant_tail
    error += low * constant
    return product, error


def reduce_angle(x: Real) -> tuple[Real, Real, Real]:
    """`(k, r, error)` with x = k * pi / 2 + r + error, k an integer, |r| <= pi / 4, for |x| <= REDUCIBLE."""
    k = x * INVERSE_HALF_PI
    k += ROUNDER
    k -= ROUNDER
    first, second, third = HALF_PI_PARTS
    r = x - k * first
    r, error = two_sum(r, k * -second)
    r, error_third = two_sum(r, k * -third)
    error += error_third
    error -= k * HALF_PI_REST
    r, error = two_sum(r, error)
    return k, r, error


def sin_reduced(r: Real, error: Real) -> Real:
    """sin(r + error) for |r| <= pi / 4 and an `error` below the last bit of `r`."""
    z = r * r
    p = horner(z, SIN)
    p *= z
    p *= r
    slope = z * -0.5
    slope += 1.0
    slope *= error
    p += slope
    p += r
    return p


def cos_reduced(r: Real, error: Real) -> Real:
    """cos(r + error) for |r| <= pi / 4 and an `error` below the last bit of `r`."""
    z = r * r
    p = horner(z, COS)
    p *= z
    p *= z
    p -= r * error
    z *= 0.5
    high = 1.0 - z
    low = 1.0 - high
    low -= z
    low += p
    low += high
    return low
