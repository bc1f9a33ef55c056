"""Sums in one documented order, the same bits on every machine and with every version of NumPy.

The order is *halving*. With `h = ceil(n / 2)`, the terms `h ... n - 1` are added to the terms `0 ... n - h - 1`, which
leaves `h` terms (the middle one untouched if `n` is odd); this is repeated until one term is left:

    5 terms:  a b c d e  ->  (a + d) (b + e) c  ->  ((a + d) + c) (b + e)  ->  ((a + d) + c) + (b + e)

Every step is one elementwise addition, which IEEE 754 fixes to the last bit, and the rounding error grows with
`log2(n)` only. Along an axis, every sum depends on its own terms alone, not on how many others are made beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

_SHORT = 16
"""From here on Python floats are quicker than arrays; they are added in the same order."""

_TINY = math.ldexp(1.0, -900)
"""A sum of squares above this has lost nothing to underflow: a square that did is below 2**-1074."""


def fixed_order_sum(array: Any, axis: int | None = None) -> Any:
    """The sum of an array, or of each of its lines along an axis, by halving.

    Args:
        array: an array of floating-point or complex numbers.
        axis: the axis to sum over; all axes, in C order, if None. A sum over no terms is 0.

    Returns:
        A NumPy scalar, or an array without that axis, of the dtype of `array`.
    """
    values = np.asarray(array)
    terms = values.reshape(-1) if axis is None else np.moveaxis(values, axis, 0)
    count = len(terms)
    if count == 0:
        return np.zeros(terms.shape[1:], terms.dtype)[()]
    half = (count + 1) // 2
    total = terms[:half].copy()
    total[: count - half] += terms[half:]
    return _halve(total, half, 1)[0]


def sum_of_squares(array: Any) -> float:
    """The sum of the squares of all elements, in double precision, by halving.

        `sum(array[i] ** 2)`

    Args:
        array: an array of real floating-point numbers. Squares of float16 and float32 are exact in double precision.

    Returns:
        A Python float; infinity if the sum exceeds the largest double.
    """
    values = np.asarray(array)
    if values.dtype == np.float64:
        with np.errstate(over="ignore", under="ignore"):
            return _sum_fresh(np.multiply(values, values, order="C").reshape(-1))
    squares = values.astype(np.float64).reshape(-1)
    squares *= squares
    return _sum_fresh(squares)


def norm(arrays: Iterable[Any]) -> float:
    """The Euclidean norm of all elements of several arrays together.

        `sqrt(sum(sum_of_squares(a) for a in arrays))`, the arrays added from first to last

    Where a square would overflow, or all of them underflow, the elements are scaled by a power of two first.

    Args:
        arrays: arrays of real floating-point numbers.

    Returns:
        A Python float; not finite if an element is not finite, or if the norm exceeds the largest double.
    """
    arrays = tuple(arrays)
    total = _sum_of_squares_of_all(arrays)
    if _TINY < total < math.inf:
        return math.sqrt(total)
    largest = max((float(np.max(np.abs(array))) for array in arrays if np.size(array)), default=0.0)
    if math.isnan(total):
        return total
    if largest == 0.0 or largest == math.inf:
        return largest
    exponent = math.frexp(largest)[1]
    root = math.sqrt(_sum_of_squares_of_all([_scaled(array, -exponent) for array in arrays]))
    try:
        return math.ldexp(root, exponent)
    except OverflowError:
        return math.inf


def _sum_of_squares_of_all(arrays: Iterable[Any]) -> float:
    # Not the built-in sum: since Python 3.12 it compensates for rounding, before it did not.
    total = 0.0
    for array in arrays:
        total += sum_of_squares(array)
    return total


def _scaled(array: Any, exponent: int) -> Any:
    """`array * 2 ** exponent` in double precision, in two steps so that neither factor overflows."""
    first = exponent // 2
    scaled = np.multiply(array, math.ldexp(1.0, first), dtype=np.float64)
    return np.multiply(scaled, math.ldexp(1.0, exponent - first))


def _sum_fresh(terms: np.ndarray[Any, Any]) -> float:
    """The sum of a freshly allocated float64 vector, which is overwritten."""
    rest: list[float] = _halve(terms, len(terms), _SHORT).tolist()
    count = len(rest)
    while count > 1:
        half = (count + 1) >> 1
        for i in range(count - half):
            rest[i] += rest[half + i]
        count = half
    return rest[0] if rest else 0.0


def _halve(terms: np.ndarray[Any, Any], count: int, stop: int) -> np.ndarray[Any, Any]:
    """Halve the first `count` terms, in place, until at most `stop` are left, and return those."""
    add = np.add
    while count > stop:
        half = (count + 1) >> 1
        head = terms[: count - half]
        add(head, terms[half:count], head)
        count = half
    return terms[:count]
