"""Products of operands like those of the last time, for a step that comes again: the same bits, and fewer questions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from purenet.arithmetic.blas import multiply_like
from purenet.arithmetic.exact import rounded_to, sum_of_slices
from purenet.arithmetic.slicing import BLOCK, ZERO, Operand, Pair, are_small, cut_both, small_cutter
from purenet.records import Array


class OutOfRangeError(Exception):
    """A row or column whose magnitudes are not safe, for which `exact.matmul` has a longer way."""


def product_like(a: Array, b: Array, slices: int) -> Callable[[Any, Any], Any] | None:
    """`exact.matmul` for matrices of the shapes, layouts and dtype of these.

    The function takes an `Operand` of such a matrix, too. It raises `OutOfRangeError` unless the largest magnitude of
    each row of the left operand and column of the right one is 0 or from 2**-451 up to 2**450. None, if there is no
    such function for them.
    """
    dtype, is_long = a.dtype, a.shape[1] > BLOCK
    if dtype.char not in "fd" or b.dtype is not dtype or is_long or not a.size or not b.size:
        return None
    is_single, multiply = dtype.char == "f", multiply_like(a, b)
    is_small = slices == 1 and are_small(a, b)
    cut_alike: Callable[[Any, Any], Pair | None] = small_cutter(a, b) if is_small else partial(cut_both, count=slices)

    def product(x: Any, y: Any) -> Any:
        is_kept = x.__class__ is Operand
        pair = cut_both(x, y, slices) if is_kept else cut_alike(x, y)
        if pair is None:
            raise OutOfRangeError
        result = sum_of_slices(*pair, multiply)
        if not (is_kept and x.is_positive(slices)):
            result += ZERO
        return rounded_to(result, dtype) if is_single else result

    return product
