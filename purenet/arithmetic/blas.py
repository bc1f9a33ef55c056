"""Which way of multiplying two matrices is the fastest here, for products of which every way gives the same bits.

Where all sums of products are exact, any order is right. Most BLAS copy operands into the order in which they read
them; for the largest processors OpenBLAS has kernels that do without, for products that are not too large. A product
that is larger is theirs, too, when it is made a few rows at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from purenet.fingerprint import loaded_blas

Multiply: TypeAlias = Callable[[Any, Any], Any]
"""`multiply(x, y)`: the product of two matrices."""

_WITHOUT_COPIES = frozenset({"SkylakeX", "Cooperlake", "SapphireRapids"})
"""The kernels of OpenBLAS that multiply small matrices as they lie in memory."""

_MOST_MULTIPLICATIONS = 100**3
"""So many at most, in `dgemm_small_matrix_permit` of OpenBLAS."""

_LANES = 8
"""Rows are taken in multiples of the numbers that a vector register of these processors holds."""

_DOT = 1 << 13
"""Elements of the operands up to which `x.dot(y)` is quicker than `np.matmul`: it takes less to call, but fills the
result with zeros first."""


def dot_or_matmul(x: Any, y: Any) -> Multiply:
    """Which function of NumPy multiplies matrices of the sizes of these in less time, with the same bits."""
    return np.ndarray.dot if x.size <= _DOT >= y.size else np.matmul


def multiply_like(x: Any, y: Any) -> Multiply:
    """How to multiply matrices of float64 of the shapes and layouts of these."""
    (rows, length), columns = x.shape, y.shape[1]
    count = min(_MOST_MULTIPLICATIONS // (length * columns), rows) // _LANES * _LANES
    pays = count > 0 and rows * length * columns > _MOST_MULTIPLICATIONS and y.flags.c_contiguous
    return partial(_in_bands, count) if pays and _is_without_copies() else dot_or_matmul(x, y)


def _is_without_copies() -> bool:
    """Whether OpenBLAS multiplies small matrices as they are, and has one thread: it never shares those among more."""
    blas = loaded_blas()
    return blas.get("blas_kernel") in _WITHOUT_COPIES and blas.get("blas_threads") == 1


def _in_bands(count: int, x: Any, y: Any) -> Any:
    """The product of so many rows of `x` at a time."""
    rows, length = x.shape
    whole = rows - rows % count
    result = np.empty((rows, y.shape[1]))
    np.matmul(x[:whole].reshape(-1, count, length), y, result[:whole].reshape(-1, count, y.shape[1]))
    if whole < rows:
        np.matmul(x[whole:], y, result[whole:])
    return result
