"""Products of operands like those of the last time, for a step that comes again: the same bits, and fewer questions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from purenet.arithmetic.blas import multiply_like
from purenet.arithmetic.exact import rounded_to, sum_of_slices
from purenet.arithmetic.slicing import BLOCK, ZERO, Operand, are_small, cut, small_cutter
from purenet.records import Array


class OutOfRangeError(Exception):
    """A row or column whose magnitudes are not safe, for which `exact.matmul` has a longer way."""


def product_like(a: Array, b: Array, slices: int) -> Callable[[Any, Any], Any] | None:
    """`exact.matmul` for matrices of the shapes, layouts and dtype of these.

    The function takes an `Operand` of such a matrix, too. It raises `OutOfRangeError` unless all magnitudes are below
    2**450. None, if there is no such function for them.
    """
    dtype, is_long = a.dtype, a.shape[1] > BLOCK
    if dtype.char not in "fd" or b.dtype is not dtype or is_long or not a.size or not b.size:
        return None
    is_single, multiply = dtype.char == "f", multiply_like(a, b)
    cut_pair = small_cutter(a, b) if slices == 1 and are_small(a, b) else None

    def product(x: Any, y: Any) -> Any:
        if x.__class__ is Operand:
            kept, ys = x.keep(True, slices), cut(y, False, slices)
            if kept is None or ys is None:
                raise OutOfRangeError
            result = sum_of_slices(kept.slices, ys, multiply)
            if not kept.is_positive:
                result += ZERO
        elif cut_pair is not None:
            pair = cut_pair(x, y)
            if pair is None:
                raise OutOfRangeError
            result = multiply(*pair)
            result += ZERO
        else:
            xs, ys = cut(x, True, slices), cut(y, False, slices)
            if xs is None or ys is None:
                raise OutOfRangeError
            result = sum_of_slices(xs, ys, multiply)
            result += ZERO
        return rounded_to(result, dtype) if is_single else result

    return product
