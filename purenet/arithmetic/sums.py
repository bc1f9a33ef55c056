"""Reductions of portable arithmetic: sums, means, variances, products and extrema, with NumPy's arguments.

The terms of a line are combined by *halving*, as `reduction` has it. Over several axes, or all, a line is the reduced
axes in C order. float64 and float32 are summed in themselves; float16 in float32, rounded once at the end; a mean of
integers in float64. Sums and products of integers are exact modulo 2**64, in any order. Elements left out by `where`
count as the neutral element in their place; `initial` joins in last. A zero among extrema comes out as +0.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod as product_of
from typing import Any

import numpy as np

from purenet.arithmetic.promotion import FLOAT64, refuse
from purenet.errors import ArgumentError, DtypeError

_FLOAT32 = np.dtype(np.float32)
_SHORT = 16
"""So many terms of a float64 vector are quicker as Python floats; they are added in the same order."""
_NARROW = 32
"""Up to so many terms, lines that do not lie side by side in memory are moved there first."""
_SMALL = 8192
"""So are all lines of an array with at most so many elements."""


def halved(terms: Any, combine: Callable[..., Any] = np.add) -> Any:
    """All `terms`, of which there is at least one, combined by halving along the first axis."""
    count = len(terms)
    if count <= 2:
        return terms[0].copy() if count == 1 else combine(terms[0], terms[1])  # no view of anything
    apart = terms.ndim > 1 and not terms.flags.c_contiguous
    if apart and (count <= _NARROW or terms.size <= _SMALL):
        terms, apart = np.ascontiguousarray(terms), False
    half = (count + 1) >> 1
    if count & 1:
        rest = terms[:half].copy("K")
        head = rest[:-1]
        combine(head, terms[half:], head)
    else:
        rest = combine(terms[:half], terms[half:])
    count = half
    if terms.ndim == 1 and combine is np.add and terms.dtype.char == "d":
        return _halved_vector(rest, count)
    while count > 2:
        if apart and count <= _NARROW:
            rest, apart = np.ascontiguousarray(rest[:count]), False
        half = (count + 1) >> 1
        head = rest[: count - half]
        combine(head, rest[half:count], head)
        count = half
    return combine(rest[0], rest[1]) if count == 2 else rest[0]


def _halved_vector(rest: Any, count: int) -> Any:
    """The sum of a fresh float64 vector."""
    add = np.add
    while count > _SHORT:
        half = (count + 1) >> 1
        head = rest[: count - half]
        add(head, rest[half:count], head)
        count = half
    last = rest[:count].tolist()
    while count > 1:
        half = (count + 1) >> 1
        for i in range(count - half):
            last[i] += last[half + i]
        count = half
    return np.float64(last[0])


def axes_of(ndim: int, axis: Any) -> tuple[int, ...]:
    """The reduced axes as ascending non-negative numbers; the error is NumPy's if there is no such axis."""
    if axis is None or (ndim == 0 and axis in (0, -1)):
        return tuple(range(ndim))
    given = axis if isinstance(axis, tuple | list) else (axis,)
    axes = []
    for one in given:
        if not -ndim <= one < ndim:
            raise np.exceptions.AxisError(one, ndim)
        axes.append(int(one) % ndim)
    if len(set(axes)) < len(axes):
        raise ValueError("duplicate value in 'axis'")
    return tuple(sorted(axes))


def _lines(a: Any, axes: tuple[int, ...]) -> Any:
    """`a` with the reduced axes merged, in C order, into the first."""
    ndim = a.ndim
    if len(axes) == ndim:
        return a.reshape(-1)
    if axes == (0,):
        return a
    moved = a.transpose(axes + tuple([i for i in range(ndim) if i not in axes]))
    lengths, rest = moved.shape[: len(axes)], moved.shape[len(axes) :]
    return moved if len(axes) == 1 else moved.reshape(product_of(lengths), *rest)


def _asked(keepdims: Any) -> bool:
    return keepdims is not np._NoValue and bool(keepdims)


def _with_axes(result: Any, shape: tuple[int, ...], axes: tuple[int, ...], keepdims: Any) -> Any:
    """The result with the reduced axes kept, as length 1, if that is asked for."""
    if _asked(keepdims):
        return np.asarray(result).reshape(tuple([1 if i in axes else n for i, n in enumerate(shape)]))
    return result


def _real(a: Any, dtype: Any, name: str) -> tuple[Any, Any]:
    """`a` as an array of float32, float64 or integers, and the dtype of the result."""
    a = a if type(a) is np.ndarray else np.asarray(a)
    dtype = a.dtype if dtype is None else np.dtype(dtype)
    if dtype.char in "df" and a.dtype is dtype and dtype.isnative:
        return a, dtype
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise DtypeError(f"expected real numbers of at most 64 bits, got {dtype}", path=f"np.{name}")
    working = _FLOAT32 if dtype.char == "e" else dtype.newbyteorder("=")
    return a.astype(working, copy=False), dtype.newbyteorder("=")


def _is_plain(a: Any) -> bool:
    """Whether an argument is an array of float32 or float64 in the processor's byte order."""
    return type(a) is np.ndarray and a.dtype.char in "df" and a.dtype.isnative


def _reduction(name: str, combine: Any, neutral: float) -> Callable[..., Any]:
    """`np.sum` or `np.prod`."""
    native = getattr(np, name)

    def reduce(
        a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = None,
        where: Any = True,
    ) -> Any:  # fmt: skip
        if where is True and initial is None and dtype is None and out is None and not keepdims and _is_plain(a):
            if axis is None and a.size:
                return halved(a.reshape(-1), combine)
            if type(axis) is int and axis == 0 and a.ndim and len(a):
                return halved(a, combine)
        refuse(name, out=out)
        given = dtype
        a, dtype = _real(a, dtype, name)
        if dtype.kind != "f":
            wide = given or (np.uint64 if dtype.kind == "u" else np.int64)
            start = neutral if initial is None or initial is np._NoValue else initial
            return native(a, axis, wide, None, _asked(keepdims), int(start), where)
        axes = axes_of(a.ndim, axis)
        if where is not True:
            a = np.where(where, a, a.dtype.type(neutral))
        lines = _lines(a, axes)
        total = halved(lines, combine) if len(lines) else np.full(lines.shape[1:], neutral, a.dtype)[()]
        if initial is not None and initial is not np._NoValue:
            total = combine(total, a.dtype.type(initial))
        if dtype is not a.dtype:
            total = total.astype(dtype)
        return _with_axes(total, a.shape, axes, keepdims)

    reduce.__name__ = name
    reduce.__doc__ = f"`np.{name}` by halving."
    return reduce


total = _reduction("sum", np.add, 0)
product = _reduction("prod", np.multiply, 1)


def _count(shape: tuple[int, ...], axes: tuple[int, ...], where: Any) -> Any:
    """How many elements go into each result, with the reduced axes kept if `where` leaves some out."""
    if where is True:
        return product_of([shape[i] for i in axes])
    return np.sum(np.broadcast_to(where, shape), axis=axes, keepdims=True, dtype=np.int64)


def _inexact(a: Any, dtype: Any, name: str) -> tuple[Any, Any]:
    """`a` as an array of float32 or float64, and the dtype of the result."""
    a = a if type(a) is np.ndarray else np.asarray(a)
    if dtype is None and a.dtype.kind in "biu":
        dtype = FLOAT64
    a, dtype = _real(a, dtype, name)
    if dtype.kind != "f":
        raise DtypeError(f"expected a floating dtype, got {dtype}", path=f"np.{name}")
    return a, dtype


def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True
) -> Any:
    """`np.mean`: the sum divided by the number of terms."""
    if where is True and axis is None and dtype is None and out is None and not keepdims and _is_plain(a) and a.size:
        return halved(a.reshape(-1)) / a.dtype.type(a.size)
    refuse("mean", out=out)
    a, dtype = _inexact(a, dtype, "mean")
    axes = axes_of(a.ndim, axis)
    count = _count(a.shape, axes, where)
    if where is True:
        result = total(a, axes) / a.dtype.type(count)
    else:
        result = total(a, axes, None, None, True, None, where) / count.astype(a.dtype)
        result = result if _asked(keepdims) else np.squeeze(result, axes)[()]
    return _with_axes(result if dtype is a.dtype else result.astype(dtype), a.shape, axes, keepdims)


def variance(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, *,
    where: Any = True, mean: Any = None, correction: Any = None,
) -> Any:  # fmt: skip
    """`np.var`: the sum of `(a - mean)**2` divided by `count - ddof`, where that is positive, else by 0."""
    refuse("var", out=out)
    a, dtype = _inexact(a, dtype, "var")
    axes = axes_of(a.ndim, axis)
    count = _count(a.shape, axes, where)
    if mean is None or mean is np._NoValue:
        centre = total(a, axes, None, None, True, None, where) / np.asarray(count, a.dtype)
    else:
        centre = np.asarray(mean, a.dtype)
    freedom = np.asarray(count - (ddof if correction is None or correction is np._NoValue else correction), a.dtype)
    deviation = a - centre
    deviation *= deviation
    result = total(deviation, axes, None, None, True, None, where) / np.maximum(freedom, freedom.dtype.type(0))
    if not _asked(keepdims):
        result = np.squeeze(result, axes)[()]
    return result if dtype is a.dtype else result.astype(dtype)


def deviation(*args: Any, **kwargs: Any) -> Any:
    """`np.std`: the square root of the variance."""
    return np.sqrt(variance(*args, **kwargs))


def plus_zero(fresh: Any) -> Any:
    """The fresh result of a choice between numbers, in which a zero may have either sign, with +0 for zeros."""
    if fresh.dtype.kind != "f":
        return fresh
    if type(fresh) is np.ndarray:
        fresh += fresh.dtype.type(0)
        return fresh
    return fresh + fresh.dtype.type(0)


def _extremum(name: str) -> Callable[..., Any]:
    """`np.max` or `np.min`."""
    native = getattr(np, name)

    def reduce(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = np._NoValue, where: Any = True
    ) -> Any:
        refuse(name, out=out)
        if initial is None:
            initial = np._NoValue
        return plus_zero(native(np.asarray(a), axis, None, _asked(keepdims), initial, where))

    reduce.__name__ = name
    reduce.__doc__ = f"`np.{name}`; NaN if a term is NaN."
    return reduce


largest = _extremum("max")
smallest = _extremum("min")


def _running(name: str, ufunc: Any) -> Callable[..., Any]:
    """`np.cumsum` or `np.cumprod`: from first to last, each step rounded to the dtype of the result."""

    def accumulate(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        refuse(name, out=out)
        a = np.asarray(a)
        if dtype is None:
            dtype = a.dtype if a.dtype.kind == "f" else np.uint64 if a.dtype.kind == "u" else np.int64
        if axis is None:
            a, axis = a.reshape(-1), 0
        return ufunc.accumulate(a.astype(dtype, copy=False), axis)

    accumulate.__name__ = name
    accumulate.__doc__ = f"`np.{name}`, from first to last."
    return accumulate


running_sum = _running("cumsum", np.add)
running_product = _running("cumprod", np.multiply)


def as_method(function: Callable[..., Any]) -> Callable[..., Any]:
    """`ufunc.reduce`, which goes over the first axis unless told otherwise."""

    def reduce(
        array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = None,
        where: Any = True,
    ) -> Any:  # fmt: skip
        if array.__class__ is np.ndarray and array.ndim and initial is None and where is True and not keepdims:
            if dtype is None and out is None:
                return function(array, axis)
        elif np.ndim(array) == 0 and axis == 0:
            axis = None
        kinds = {} if dtype is None else {"dtype": dtype}  # the extrema take none
        return function(array, axis, out=out, keepdims=keepdims, initial=initial, where=where, **kinds)

    return reduce


def reduction_of(combine: Callable[..., Any]) -> Callable[..., Any]:
    """`ufunc.reduce` of a function of two arguments that has no neutral element, by halving."""

    def fresh(a: Any, b: Any, out: Any = None) -> Any:
        value = combine(a, b)
        if out is not None:
            out[...] = value
        return value

    def reduce(a: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
        refuse("ufunc.reduce", out=out)
        a, dtype = _inexact(a, dtype, "ufunc.reduce")
        axes = axes_of(a.ndim, axis)
        lines = _lines(a, axes)
        if not len(lines):
            raise ArgumentError(f"expected at least one term along axis {axis}", path="np.ufunc.reduce")
        result = halved(lines, fresh)
        return _with_axes(result if dtype is a.dtype else result.astype(dtype), a.shape, axes, keepdims)

    return reduce
