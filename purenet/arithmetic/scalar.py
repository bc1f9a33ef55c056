"""Elementary functions of single Python floats, with the very bits of the array functions in `elementary`.

For numbers that steer a computation: learning rates, decay factors, bias corrections. They share the array functions'
polynomial cores; only the ways into and out of the exponent bits differ, and those are exact.
"""

from __future__ import annotations

import math

from purenet.arithmetic import kernels
from purenet.errors import ArgumentError

SQRT_HALF = 0.7071067811865476

TWO_OVER_PI = int(
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561b7246e3a424dd2e0"
    "06492eea09d1921cfe1deb1cb129a73ee88235f52ebb4484e99c7026b45f7e413991d639835339f4"
    "9c845f8bbdf9283b1ff897ffde05980fef2f118b5a0a6d1f6d367ecf27cb09b74f463f669e5fea2d"
    "7527bac7ebe5f17b3d0739f78a5292ea6bfb5fb11f8d5d0856033046fc7b6babf0cfbc209af4361d",
    16,
)
"""The first 1280 bits of 2 / pi after the binary point: 256 more than the largest exponent of a float64."""

HALF_PI = 0x1921FB54442D18469898CC51701B839A252049C1114CF98E8
"""The first 193 bits of pi / 2."""


def exp(x: float) -> float:
    """e to the power `x`."""
    x = float(x)
    if not -746.0 <= x <= 710.0:
        return math.nan if x != x else math.inf if x > 0.0 else 0.0
    k, r, p = kernels.reduce_exp(x)
    return _scaled(r + p + 1.0, int(k))


def log(x: float) -> float:
    """The natural logarithm; log(0) = -inf, and NaN for negative `x`."""
    x = float(x)
    if not 0.0 < x < math.inf:
        return math.inf if x > 0.0 else -math.inf if x == 0.0 else math.nan
    y: float = kernels.log_reduced(*_decompose(x))
    return y


def cos(x: float) -> float:
    """The cosine of `x` radians; NaN for infinities."""
    x = float(x)
    if abs(x) <= kernels.REDUCIBLE:
        k, r, error = kernels.reduce_angle(x)
        quadrant = int(k) & 3
    elif abs(x) < math.inf:
        quadrant, r, error = reduce_large_angle(x)
    else:
        return math.nan
    y: float = kernels.sin_reduced(r, error) if quadrant & 1 else kernels.cos_reduced(r, error)
    return -y if quadrant in (1, 2) else y


def integer_power(base: float, n: int) -> float:
    """`base` to the power `n` by repeated squaring, in at most 2 * log2(n) multiplications.

    The bits of `n` are taken from the lowest: for each, the result is multiplied by the current square if the bit is
    set, and then the square is squared. This order is part of the contract: it fixes every bit of the result.

    Raises:
        ArgumentError: if `n` is negative.
    """
    if n < 0:
        raise ArgumentError(f"expected n >= 0, got {n}", path="integer_power")
    result, square = 1.0, float(base)
    while n:
        if n & 1:
            result *= square
        n >>= 1
        if n:
            square *= square
    return result


def reduce_large_angle(x: float) -> tuple[int, float, float]:
    """`(quadrant, r, error)` with x = k * pi / 2 + r + error, quadrant = k mod 4, |r| <= pi / 4, for a finite `x`.

    Payne and Hanek's idea, in Python's own integers.
    """
    mantissa, exponent = math.frexp(x)
    turns = int(math.ldexp(mantissa, 53)) * TWO_OVER_PI
    bits = 1280 + 53 - exponent  # x * 2 / pi = turns / 2**bits
    k = (turns + (1 << (bits - 1))) >> bits
    fraction = turns - (k << bits)
    spare = max(0, bits - 256)
    angle = ((fraction >> spare) * HALF_PI) >> 192  # now in units of 2**(spare - bits)
    unit = 1 << (bits - spare)
    r = angle / unit  # Python divides integers with one correct rounding
    numerator, denominator = r.as_integer_ratio()
    error = (angle * denominator - numerator * unit) / (unit * denominator)
    return k & 3, r, error


def _scaled(y: float, exponent: int) -> float:
    """y * 2**exponent, rounded once; `math.ldexp` has been wrong for subnormal results on some systems."""
    half = exponent // 2
    return y * math.ldexp(1.0, half) * math.ldexp(1.0, exponent - half)


def _decompose(x: float) -> tuple[float, float]:
    """`(k, f)` with x = 2**k * (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), for positive finite `x`; both exact."""
    mantissa, k = math.frexp(x)
    if mantissa < SQRT_HALF:
        mantissa *= 2.0
        k -= 1
    return float(k), mantissa - 1.0
