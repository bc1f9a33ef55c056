"""Matrix products with the same bits on every machine: operands cut into slices whose products are exact.

BLAS adds the terms of a product in an order that depends on the machine. Here each operand is first rounded to so few
bits, relative to the largest magnitude of its row or column, that no product of two rounded operands and no sum of such
products needs rounding: whatever the order, with or without fused multiply-add, the result is the same. What rounding
removed is a further slice, with products of its own. `docs/numeric-contract.md` has the contract and its error bounds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from purenet.arithmetic.blas import Multiply, dot_or_matmul
from purenet.arithmetic.slicing import BLOCK, ZERO, Float64, Integer, Operand, are_small, cut_both, small_cutter
from purenet.errors import ArgumentError, DtypeError, ShapeError
from purenet.records import Array

_SUPPORTED = "?bBhHiIlLqQdef"
_FLOATS = "def"
_FLOAT64 = np.dtype(np.float64)
_ABSENT = -100_000
"""The exponent of zero: below any other."""

_FAR = 200
"""A term that many binary places below another changes no bit of their sum."""


def matmul(a: Any, b: Any, slices: int = 1) -> Any:
    """The matrix product `a @ b` of the contract: the shapes of `np.matmul`, and the same bits on every machine.

    Row i of the result depends on row i of `a` and on all of `b`, never on the other rows of `a`; likewise for columns.

    Args:
        a, b: arrays of numbers, bools, integers or floats of at most 64 bits; or an `Operand`.
        slices: how many slices an operand is cut into: 1 keeps at least 21 bits, 2 at least 42; 3 is full double
            precision.

    Returns:
        An array of float16 or float32 if both operands have at most these (the sum, in double precision, is rounded
        once), else of float64; a scalar for two vectors. A zero is +0, and NaN is `np.nan`.

    Raises:
        ShapeError: if the shapes do not fit.
        DtypeError: if an operand is complex, `longdouble`, or not numeric.
        ArgumentError: if `slices` is not 1, 2 or 3.

    Example:
        >>> matmul(np.array([[1.0, 2.0]]), np.array([3.0, 4.0]))
        array([11.])
    """
    if slices.__class__ is int and slices == 1 and are_small(a, b):
        pair = small_cutter(a, b)(a, b)
        if pair is not None:
            result = pair[0][0].dot(pair[1][0])
            result += ZERO
            return result
    left = a.matrix if a.__class__ is Operand else np.asarray(a)
    right = b.matrix if b.__class__ is Operand else np.asarray(b)
    dtype = _FLOAT64 if left.dtype is _FLOAT64 is right.dtype else _result_dtype(left, right)
    if slices not in (1, 2, 3) or isinstance(slices, bool | float):
        raise ArgumentError(f"expected 1, 2 or 3, got {slices!r}", path="slices")
    if left.ndim == right.ndim == 2:
        if left.shape[1] != right.shape[0]:
            raise _mismatch(left, right)
        return _product(left, right, slices, dtype, a, b)
    return _product_of_any(left, right, slices, dtype)


def _product_of_any(left: Array, right: Array, slices: int, dtype: np.dtype[Any]) -> Any:
    """The product of vectors and of stacks of matrices."""
    if not left.ndim or not right.ndim:
        raise ShapeError("expected arrays with axes, got a number: multiply with *", path="b" if left.ndim else "a")
    x = left if left.ndim > 1 else left[None, :]
    y = right if right.ndim > 1 else right[:, None]
    if x.shape[-1] != y.shape[-2]:
        raise _mismatch(left, right)
    if x.ndim > 2 and y.ndim > 2 and x.shape[:-2] != y.shape[:-2]:
        try:
            np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        except ValueError:
            raise _mismatch(left, right) from None
    result = _product(x, y, slices, dtype)
    if left.ndim == 1:
        result = result[..., 0, :]
    if right.ndim == 1:
        result = result[..., 0]
    return result[()]


def _mismatch(left: Array, right: Array) -> ShapeError:
    return ShapeError(
        f"shapes {left.shape} and {right.shape} do not fit: the last axis of a must be as long as the second last of b "
        "(the only one of a vector), and leading axes must broadcast",
        path="b",
    )


def _result_dtype(left: Array, right: Array) -> np.dtype[Any]:
    """The dtype to round the result to."""
    for name, array in (("a", left), ("b", right)):
        if array.dtype.char not in _SUPPORTED:
            raise DtypeError(
                f"expected bools, integers or floats of at most 64 bits, got {array.dtype}: outside the contract",
                path=name,
            )
    if left.dtype.kind == right.dtype.kind == "f":
        return np.promote_types(left.dtype, right.dtype)
    return _FLOAT64


def _product(x: Array, y: Array, slices: int, dtype: np.dtype[Any], a: Any = None, b: Any = None) -> Array:
    """The product of two matrices or stacks of matrices of fitting shapes; `a` and `b` are where they come from."""
    if not x.size or not y.size:
        empty: Array = np.matmul(x, y)  # or sums of nothing
        return empty.astype(dtype)
    if x.dtype is not _FLOAT64 and x.dtype.char not in _FLOATS:
        x = x.astype(_FLOAT64)
    if y.dtype is not _FLOAT64 and y.dtype.char not in _FLOATS:
        y = y.astype(_FLOAT64)
    if x.shape[-1] <= BLOCK:
        result = _block(a if a.__class__ is Operand else x, b if b.__class__ is Operand else y, slices)
    else:
        result = _sum_of_blocks(x, y, slices)
    if result is None:
        with np.errstate(all="ignore"):
            result = _of_any_magnitude(x.astype(_FLOAT64), y.astype(_FLOAT64), slices)
    result += ZERO  # -0 becomes +0: which of them an exact sum of zeros is depends on how it begins
    return result if dtype is _FLOAT64 else rounded_to(result, dtype)


def rounded_to(result: Float64, dtype: np.dtype[Any]) -> Array:
    """A result in the wider dtype of its operands, rounded once."""
    with np.errstate(over="ignore", under="ignore"):
        return result.astype(dtype)


def _sum_of_blocks(x: Array, y: Array, slices: int) -> Float64 | None:
    """The products of the blocks of a long contraction, added from first to last; None as `_block`."""
    total = None
    for start in range(0, x.shape[-1], BLOCK):
        term = _block(x[..., start : start + BLOCK], y[..., start : start + BLOCK, :], slices)
        if term is None:
            return None
        total = term if total is None else np.add(total, term, total)
    return total


def _block(x: Array | Operand, y: Array | Operand, slices: int) -> Float64 | None:
    """The product over one block, if all rows of x and columns of y have safe magnitudes; None if not."""
    pair = cut_both(x, y, slices)
    return None if pair is None else sum_of_slices(*pair)


def sum_of_slices(xs: list[Float64], ys: list[Float64], multiply: Multiply | None = None) -> Float64:
    """x1 y1, or x1 y1 + (x1 y2 + x2 y1), or x1 y1 + ((x1 y2 + x2 y1) + ((x1 y3 + x3 y1) + x2 y2))."""
    first, second = xs[0], ys[0]
    if multiply is None:
        multiply = dot_or_matmul(first, second) if first.ndim == 2 == second.ndim else np.matmul
    high: Float64 = multiply(first, second)
    if len(xs) == 1:
        return high
    low = multiply(xs[0], ys[1])
    low += multiply(xs[1], ys[0])
    if len(xs) == 3:
        lowest = multiply(xs[0], ys[2])
        lowest += multiply(xs[2], ys[0])
        lowest += multiply(xs[1], ys[1])
        low += lowest
    high += low
    return high


def _of_any_magnitude(x: Float64, y: Float64, slices: int) -> Float64:
    """The product where something is very large, very small, infinite or NaN."""
    finite_x, finite_y = np.isfinite(x).all(-1, keepdims=True), np.isfinite(y).all(-2, keepdims=True)
    total, exponent = np.zeros(()), np.full((), _ABSENT)
    finite = np.where(finite_x, x, 0.0), np.where(finite_y, y, 0.0)
    for start in range(0, x.shape[-1], BLOCK):
        x_block, x_exponent = _scaled_down(finite[0][..., start : start + BLOCK], -1)
        y_block, y_exponent = _scaled_down(finite[1][..., start : start + BLOCK, :], -2)
        term = _block(x_block, y_block, slices)
        assert term is not None  # its magnitudes are below 1
        total, exponent = _add_scaled(total, exponent, *_normalised(term, x_exponent + y_exponent))
    result = _scaled(total, np.clip(exponent, -1200, 1200))
    if not (finite_x.all() and finite_y.all()):
        result = np.where(finite_x & finite_y, result, _not_finite(x, y))
    return result


def _scaled_down(x: Float64, axis: int) -> tuple[Float64, Integer]:
    """Each line of x along an axis, times a power of two that brings its magnitudes below 1, and the exponents.

    What this loses to underflow lies below the grid of the last slice.
    """
    exponent = np.frexp(np.max(np.abs(x), axis=axis, keepdims=True))[1].astype(np.int64)
    return _scaled(x, -exponent), exponent


def _scaled(x: Float64, exponent: Integer) -> Float64:
    """x * 2**exponent, for exponents to 2000 either way: in two steps, of which at most the second rounds.

    That holds where x is normal and the result subnormal or infinite, and where the result is normal.
    """
    half = exponent // 2
    return x * _power_of_two(half) * _power_of_two(exponent - half)


def _power_of_two(exponent: Integer) -> Float64:
    return ((exponent + 1023) << 52).view(np.float64)


def _normalised(x: Float64, exponent: Integer) -> tuple[Float64, Integer]:
    """x * 2**exponent with x between 1/2 and 1, or zero with the exponent of zero."""
    fraction, shift = np.frexp(x)
    return fraction, np.where(fraction == 0.0, _ABSENT, exponent + shift)


def _add_scaled(x: Float64, x_exponent: Integer, y: Float64, y_exponent: Integer) -> tuple[Float64, Integer]:
    """The sum of x * 2**x_exponent and y * 2**y_exponent, rounded to 53 bits as if exponents had no bounds."""
    top = np.maximum(x_exponent, y_exponent)
    total = _scaled(x, np.maximum(x_exponent - top, -_FAR)) + _scaled(y, np.maximum(y_exponent - top, -_FAR))
    return _normalised(total, top)


def _not_finite(x: Float64, y: Float64) -> Float64:
    """What IEEE arithmetic makes of the terms of a product that has an infinite or NaN operand.

    NaN, if a term is NaN (so is 0 times infinity) or infinite terms differ in sign; else infinity of their sign. They
    are counted with matrices of 0, 1 and -1, whose products are exact.
    """
    signs_x, signs_y = _signs(x), _signs(y)
    infinite_x, infinite_y = np.where(np.isinf(x), signs_x, 0.0), np.where(np.isinf(y), signs_y, 0.0)
    balance: Float64 = np.matmul(infinite_x, signs_y) + np.matmul(signs_x, infinite_y)
    counts_x, counts_y = np.abs(infinite_x), np.abs(infinite_y)
    count: Float64 = np.matmul(counts_x, np.abs(signs_y)) + np.matmul(np.abs(signs_x), counts_y)
    invalid: Float64 = np.matmul(counts_x, np.where(y == 0.0, 1.0, 0.0)) + np.matmul(
        np.where(x == 0.0, 1.0, 0.0), counts_y
    )
    invalid += np.isnan(x).any(-1, keepdims=True)
    invalid += np.isnan(y).any(-2, keepdims=True)
    return np.where((invalid != 0.0) | (np.abs(balance) != count), np.nan, np.where(balance < 0.0, -np.inf, np.inf))


def _signs(x: Float64) -> Float64:
    """-1, 0 or 1; 0 for NaN."""
    return np.where(x > 0.0, 1.0, np.where(x < 0.0, -1.0, 0.0))
