"""How an elementary function is carried over an array: dtypes, blocks that stay in cache, no warnings."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from purenet.arithmetic.kernels import ROUNDER
from purenet.errors import DtypeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Vector: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

BLOCK = 16384
"""Elements worked on at a time: the temporaries of a block stay in the processor's cache. No result depends on it."""

RESERVE = 1 << 19
"""Elements of an array that is allocated and dropped, untouched, before work on a larger array. The C library of most
Linux systems returns memory above a threshold to the system as soon as it is freed, and then pays a page fault for
every page of every temporary; freeing one large piece makes it raise that threshold. Worth a factor of two to four."""

SMALLEST_NORMAL = 2.2250738585072014e-308
LARGEST = 1.7976931348623157e308

_QUICK = 8192
"""Up to so many elements all temporaries are below that threshold, and there is one block."""

_FLOAT64 = np.dtype(np.float64)
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
_ONE_BITS = 0x3FF0000000000000
_MANTISSA = 0x000FFFFFFFFFFFFF
_TWO_TO_52_BITS = 0x4330000000000000
_EXPONENT_BIAS = 1023.0


def elementwise(function: Callable[..., Vector]) -> Callable[..., Any]:
    """Make a function of blocks a function of arrays or numbers, which are broadcast.

    The function is given contiguous float64 vectors of at most `BLOCK` elements; it changes none and returns a new one.
    What is made of it takes real arrays or numbers. Integers and bools count as float64; Python numbers follow the
    arrays' dtype. It returns an array of that dtype (computed in float64 and rounded once), or a NumPy scalar for
    scalars, and raises a `DtypeError` if an argument is not real, or wider than float64.
    """

    @wraps(function)
    def whole(*arguments: ArrayLike) -> Any:
        first = arguments[0]
        if type(first) is np.ndarray and len(arguments) == 1 and first.dtype is _FLOAT64 and 0 < first.size <= _QUICK:
            with np.errstate(all="ignore"):  # the same, with less to do for a small array
                return function(np.ascontiguousarray(first).reshape(-1)).reshape(first.shape)[()]
        arrays = [_real(argument) for argument in arguments]
        dtype = _result_dtype(arguments, arrays)
        if len(arrays) > 1:
            arrays = list(np.broadcast_arrays(*arrays))
        flat = [array.reshape(-1) for array in arrays]
        out = np.empty(flat[0].shape, dtype)
        if out.size > 1024:
            np.empty(RESERVE)
        with np.errstate(all="ignore"):
            for start in range(0, out.size, BLOCK):
                parts = [np.ascontiguousarray(vector[start : start + BLOCK], np.float64) for vector in flat]
                out[start : start + BLOCK] = function(*parts)
        return out.reshape(arrays[0].shape)[()]

    return whole


def _real(argument: ArrayLike) -> np.ndarray[Any, Any]:
    array = np.asarray(argument)
    if array.dtype.kind in "iub" or (array.dtype.kind == "f" and array.dtype.itemsize <= 8):
        return array
    raise DtypeError(f"expected real numbers of at most 64 bits, got {array.dtype}; use .astype(np.float64)")


def _result_dtype(arguments: tuple[ArrayLike, ...], arrays: list[np.ndarray[Any, Any]]) -> np.dtype[Any]:
    """The widest of the floating dtypes; a Python number has no say beside an array or a NumPy scalar."""
    strong = [array for given, array in zip(arguments, arrays, strict=True) if not isinstance(given, int | float)]
    strong += [array for given, array in zip(arguments, arrays, strict=True) if isinstance(given, np.float64)]
    dtypes = [a.dtype if a.dtype.kind == "f" else np.dtype(np.float64) for a in strong] or [np.dtype(np.float64)]
    return np.dtype(max(dtypes, key=lambda dtype: dtype.itemsize).type)


def within(x: Vector, low: float, high: float) -> bool:
    """Whether all elements lie between `low` and `high`, so that no special value needs care (NaN does not)."""
    return bool(np.minimum.reduce(x) >= low and np.maximum.reduce(x) <= high)


def canonical_nan(fresh: Vector) -> Vector:
    """Give every NaN of a fresh array the one bit pattern of `np.nan`; processors differ in its sign and payload."""
    fresh[fresh != fresh] = np.nan
    return fresh


def power_of_two(k: Vector) -> Vector:
    """2**k for integers k between -1022 and 1023, by writing the exponent bits."""
    bits = (k + (ROUNDER + _EXPONENT_BIAS)).view(np.int64)
    bits <<= 52
    return bits.view(np.float64)


def scaled(fresh: Vector, k: Vector) -> Vector:
    """A freshly allocated array times 2**k, rounded once, for |k| <= 2000: into overflow or subnormals too."""
    half = np.rint(k * 0.5)
    fresh *= power_of_two(half)
    fresh *= power_of_two(k - half)
    return fresh


def decompose(x: Vector) -> tuple[Vector, Vector]:
    """`(k, f)` with x = 2**k * (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), for positive normal numbers; both exact."""
    bits = x.view(np.int64) + (_ONE_BITS - _SQRT_HALF_BITS)
    exponent = bits >> 52
    exponent |= _TWO_TO_52_BITS
    k = exponent.view(np.float64)
    k -= 2.0**52 + _EXPONENT_BIAS
    bits &= _MANTISSA
    bits += _SQRT_HALF_BITS
    f = bits.view(np.float64)
    f -= 1.0
    return k, f


def decompose_positive(x: Vector) -> tuple[Vector, Vector]:
    """`decompose` for any array: subnormal numbers included; what is not positive and finite counts as 1."""
    subnormal = (x > 0) & (x < SMALLEST_NORMAL)
    normal = (x >= SMALLEST_NORMAL) & (x <= LARGEST)
    k, f = decompose(np.where(normal, x, np.where(subnormal, x * 2.0**54, 1.0)))
    k -= np.where(subnormal, 54.0, 0.0)
    return k, f
