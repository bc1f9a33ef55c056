"""The operands of exact products, cut into slices: each line rounded to so few bits that no product of slices rounds.

A *line* is a row of the left operand or a column of the right one: what a product contracts. With `c` near
`2**(52 + e - kept)`, where `2**(e - 1)` is the power of two below the largest magnitude of the line, `x + c - c` is `x`
rounded to a multiple of `2**(e - kept)`, ties to even: that is how far apart floats near `c` are. What rounding removed
is a further slice.

Magnitudes are compared as the integers of their bits, which have the same order and are quicker. An operation on an
array and a vector that is spread over it takes NumPy twice as long as one on two arrays of a shape, so constants are
written out, for a large array in part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from purenet.records import Array, frozen

Float64: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Integer: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Pair: TypeAlias = tuple[list[Float64], list[Float64]]
"""The slices of the rows of a left operand, and those of the columns of a right one."""

BLOCK = 2048
"""Contractions longer than this are cut into blocks of this length and a rest."""

_SIGNIFICAND = 53
_FLOAT64, _INT64 = np.dtype(np.float64), np.dtype(np.int64)
_BITS = {"d": _INT64, "f": np.dtype(np.int32), "e": np.dtype(np.int16)}
"""The integers of the width of each float."""

_maximum: Any = np.maximum.reduce

_EXPONENT = frozen(np.array(0x7FF0000000000000, np.int64))
"""The exponent bits of a float64. Like all constants here it is an array, which NumPy takes sooner than a number."""

_FACTORS = tuple([frozen(np.array(1.5 * 2.0 ** (_SIGNIFICAND - kept))) for kept in range(_SIGNIFICAND // 2 + 1)])
"""By how many bits a slice has: what brings `2**(e - 1)` near `2**(52 + e - kept)`."""

ZERO = frozen(np.zeros(()))
"""What makes +0 of -0 when it is added, and changes nothing else."""

_LOWEST, _HIGHEST = 0x23C0000000000000, 0x5C10000000000000
"""The bits of 2**-451 and 2**450. From the one up to the other, no product or sum of slices overflows or underflows."""

_TOO_LARGE = {"d": _HIGHEST, "f": 0x7F800000, "e": 0x7C00}
"""Of float16 and float32 all finite magnitudes are safe."""

_ONE = np.uint64(1)

_SMALL = _WRITTEN_OUT = 1 << 14
"""For arrays with at most so many elements, constants are written out in full."""

_WIDE = 4096
"""For the columns of a larger one, they are written out for this many neighbouring elements or a few more."""

_FOLDED = 1 << 13
"""Columns of an array with more elements than this are looked at in fewer, wider rows."""


class Kept(NamedTuple):
    """What is kept of an operand."""

    slices: list[Float64]
    is_positive: bool
    """Whether each line has a positive number in its first slice.

    Then a sum of products with it that is zero is +0, and need not be made so: such a number times zero is +0, and if
    it is not multiplied by zero, something has to cancel it, which gives +0; slices have no -0 themselves.
    """


class Operand:
    """A matrix that products come back to, with the slices that they have cut of it.

    Args:
        matrix: an array of float16, float32 or float64 that nobody writes to.
    """

    __slots__ = ("_is_turned", "_kept", "matrix")

    def __init__(self, matrix: Array, kept: dict[Any, Kept] | None = None, is_turned: bool = False) -> None:
        self.matrix = matrix
        self._kept = {} if kept is None else kept  # of this matrix and of the transposed one, which shares it
        self._is_turned = is_turned

    def transpose(self) -> Operand:
        """The transposed matrix, with the same slices."""
        return Operand(self.matrix.T, self._kept, not self._is_turned)

    @property
    def has_slices(self) -> bool:
        """Whether a product has cut any."""
        return bool(self._kept)

    def keep(self, of_rows: bool, count: int) -> Kept | None:
        """So many slices of the rows or the columns, cut when they are asked for first; None as for `cut`."""
        kept = self._kept.get((self._is_turned, of_rows, count))
        if kept is not None:
            return kept
        turned = self._kept.get((not self._is_turned, not of_rows, count))
        if turned is not None:
            kept = Kept([piece.T for piece in turned.slices], turned.is_positive)
        else:
            slices = cut(self.matrix, of_rows, count)
            if slices is None:
                return None
            kept = Kept(slices, bool((slices[0] > 0).any(1 if of_rows else 0).all()))
        self._kept[self._is_turned, of_rows, count] = kept
        return kept

    def is_positive(self, count: int) -> bool:
        """Whether so many slices of the rows, which have been cut, are `Kept.is_positive`."""
        return self._kept[self._is_turned, True, count].is_positive


def are_small(x: Any, y: Any) -> bool:
    """Whether `small_cutter` takes two operands: small fitting matrices of float64, of which nothing is kept."""
    return (
        x.__class__ is np.ndarray is y.__class__
        and 0 < x.size <= _SMALL >= y.size > 0
        and x.ndim == 2 == y.ndim
        and x.dtype is _FLOAT64 is y.dtype
        and x.shape[1] == y.shape[0] <= BLOCK
    )


def small_cutter(x: Array, y: Array) -> Callable[[Array, Array], Pair | None]:
    """A function that cuts two operands like these, for which `are_small` holds.

    It gives one slice of the rows of x and one of the columns of y; None if magnitudes are not safe. This is `cut`
    twice, in fewer calls: for small matrices they are what takes time.
    """
    (rows, length), columns = x.shape, y.shape[1]
    turns_x, turns_y = not x.flags.c_contiguous, not y.flags.c_contiguous
    x_axis, y_axis = int(not turns_x), int(turns_y)
    factor = _FACTORS[bits_kept(length)]

    def cutter(x: Array, y: Array) -> Pair | None:
        if turns_x:
            x = x.T
        if turns_y:
            y = y.T
        first, second = absolute(x), absolute(y)
        largest = empty(rows + columns, _INT64)
        _maximum(first.view(_INT64), x_axis, None, largest[:rows])
        _maximum(second.view(_INT64), y_axis, None, largest[rows:])
        if largest.item(largest.argmax()) >= _HIGHEST:
            return None
        if largest.item(largest.argmin()) < _LOWEST and _is_any_tiny(largest):
            return None
        largest &= _EXPONENT
        c = largest.view(_FLOAT64)
        c *= factor
        full = empty(x.shape)
        full[...] = c[:rows, None] if x_axis else c[:rows]
        add(x, full, first)
        first -= full
        full = empty(y.shape)
        full[...] = c[rows:, None] if y_axis else c[rows:]
        add(y, full, second)
        second -= full
        return [first.T if turns_x else first], [second.T if turns_y else second]

    absolute, empty, add = np.absolute, np.empty, np.add
    return cutter


def cut_both(x: Array | Operand, y: Array | Operand, count: int) -> Pair | None:
    """So many slices of the rows of x and of the columns of y; None if magnitudes are not safe."""
    xs = cut(x, True, count)
    ys = None if xs is None else cut(y, False, count)
    return None if xs is None or ys is None else (xs, ys)


def _is_any_tiny(largest: Any) -> bool:
    """Whether one of the magnitudes, given by their bits, is too small and not zero."""
    above = largest.view(np.uint64) - _ONE  # of which 0 - 1 is the largest of all
    return bool(above.item(above.argmin()) < _LOWEST - 1)


def bits_kept(length: int) -> int:
    """How many bits a slice has, for a block of a length."""
    return (_SIGNIFICAND - (length - 1).bit_length()) // 2


def cut(x: Array | Operand, of_rows: bool, count: int) -> list[Float64] | None:
    """So many slices of the rows, or the columns, of matrices of floats; None if their magnitudes are not safe."""
    if isinstance(x, Operand):
        kept = x.keep(of_rows, count)
        return None if kept is None else kept.slices
    if x.ndim == 2 and not x.flags.c_contiguous:
        slices = _cut(x.T, -2 if of_rows else -1, count)
        return slices and [piece.T for piece in slices]
    return _cut(x, -1 if of_rows else -2, count)


def _cut(x: Array, axis: int, count: int) -> list[Float64] | None:
    """The slices of the lines along an axis."""
    buffer = np.absolute(x)
    char = buffer.dtype.char
    largest = _largest(buffer.view(_BITS[char]), axis)
    if largest.item(largest.argmax()) >= _TOO_LARGE[char]:
        return None
    if char == "d":
        if largest.item(largest.argmin()) < _LOWEST and _is_any_tiny(largest):
            return None
    else:
        largest = largest.view(buffer.dtype).astype(_FLOAT64).view(_INT64)
        del buffer  # before memory is asked for again: fresh memory costs more than arithmetic
        buffer = x = x.astype(_FLOAT64)
    kept = bits_kept(x.shape[axis])
    largest &= _EXPONENT
    c = largest.view(_FLOAT64)
    c *= _FACTORS[kept]
    slices: list[Float64] = []
    while len(slices) < count - 1:
        slices.append(_round(x, c, axis, np.empty_like(buffer)))
        x = np.subtract(x, slices[-1], buffer)
        c = c * 2.0**-kept
    return [*slices, _round(x, c, axis, buffer)]


def _largest(bits: Any, axis: int) -> Any:
    """The largest of each line, with the axis kept."""
    if axis == -2 and bits.ndim == 2 and bits.size > _FOLDED and bits.flags.c_contiguous:
        rows, columns = bits.shape
        count = 1024 // columns
        if 1 < count <= rows:
            whole = rows - rows % count
            folded = _maximum(bits[:whole].reshape(-1, count * columns), 0).reshape(count, columns)
            found = _maximum(folded, 0, None, None, True)
            return found if whole == rows else np.maximum(found, _maximum(bits[whole:], 0))
    return _maximum(bits, axis, None, None, True)


def _round(x: Float64, c: Float64, axis: int, out: Float64) -> Float64:
    """x + c - c, for a constant of each line."""
    add, subtract = np.add, np.subtract
    if x.size <= _WRITTEN_OUT:
        full = np.empty_like(out)
        full[...] = c
        add(x, full, out)
        return subtract(out, full, out)
    whole = 0
    if axis == -2 and x.ndim == 2 and x.flags.c_contiguous:
        rows, columns = x.shape
        count = _WIDE // columns + 1
        whole = rows - rows % count
        if whole:
            wide = np.empty((count, columns))
            wide[...] = c
            vector, part = wide.reshape(-1), out[:whole].reshape(-1, count * columns)
            add(x[:whole].reshape(part.shape), vector, part)
            subtract(part, vector, part)
    if whole < x.shape[0]:
        add(x[whole:], c, out[whole:])
        subtract(out[whole:], c, out[whole:])
    return out
