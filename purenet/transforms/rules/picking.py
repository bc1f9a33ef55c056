"""Derivatives of picking elements: a cotangent goes back to the place that its element was taken from.

Where several elements are equal, `sort`, `partition` and `unique` follow the element that they take; so does the
derivative.
"""

from __future__ import annotations

from types import EllipsisType
from typing import Any

import numpy as np

from purenet.arithmetic.native import primitive
from purenet.transforms.rule import Composite, Linear, LinearMap, Rule, constant
from purenet.transforms.rules.elementwise import as_array


@primitive
def getitem(x: Any, index: Any) -> Any:
    """`x[index]`, for every kind of index."""
    return x[index]


@primitive
def scatter(shape: tuple[int, ...], dtype: Any, indices: list[Any], *values: Any) -> Any:
    """An array of zeros, with each of `values` added at its index: the transpose of `getitem`."""
    array = np.zeros(shape, dtype)
    for index, value in zip(indices, values, strict=True):
        if _is_basic(index):
            array[index] += value
        else:
            np.add.at(array, index, value)
    return array


def index_array(indices: Any) -> Any:
    """Indices as an array, or as whatever stands for one."""
    return indices if hasattr(indices, "ndim") else np.asarray(indices)


class Sparse:
    """A cotangent of an array in pieces: `values` for what was picked at `index`, and the `rest`.

    They are added up all at once where the sum is needed, so that picking every element of an array by itself costs as
    much as the array is long, not its square.
    """

    __slots__ = ("dtype", "index", "rest", "shape", "values")
    __array_ufunc__ = None

    def __init__(self, shape: tuple[int, ...], dtype: Any, index: Any, values: Any, rest: Any = None) -> None:
        self.shape = shape
        self.dtype = dtype
        self.index = index
        self.values = values
        self.rest = rest

    def __add__(self, other: Any) -> Any:
        if type(other) is Sparse and other.rest is None:
            return Sparse(self.shape, self.dtype, other.index, other.values, self)
        return self.add_up() + other

    def __radd__(self, other: Any) -> Sparse:
        rest = other if self.rest is None else other + self.rest
        return Sparse(self.shape, self.dtype, self.index, self.values, rest)

    def add_up(self) -> Any:
        """The cotangent as one array."""
        indices, values = [], []
        rest: Any = self
        while type(rest) is Sparse:
            indices.append(rest.index)
            values.append(rest.values)
            rest = rest.rest
        total = scatter(self.shape, self.dtype, indices, *values)
        return total if rest is None else rest + total


def _is_basic(index: Any) -> bool:
    """Whether an index takes no element twice: made of integers, slices, newaxis, an ellipsis or one boolean mask."""
    parts = index if isinstance(index, tuple) else (index,)
    if len(parts) == 1 and isinstance(parts[0], np.ndarray) and parts[0].dtype == np.bool_:
        return True
    return all(part is None or isinstance(part, int | np.integer | slice | EllipsisType) for part in parts)


def _getitem_pull(out: Any, x: Any, index: Any) -> LinearMap:
    shape, dtype = x.shape, x.dtype
    return lambda g: Sparse(shape, dtype, index, g)


def _scatter_pull(position: int, out: Any, shape: Any, dtype: Any, indices: list[Any], *values: Any) -> LinearMap:
    index = indices[position - 3]
    return lambda g: g[index]


def _take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    a = as_array(a)
    if axis is None:
        a, axis = np.ravel(a), 0
    index, size = index_array(indices), a.shape[axis]
    if mode != "raise":
        index = np.clip(index, 0, size - 1) if mode == "clip" else index % size
    return a[(slice(None),) * (axis % a.ndim) + (index if index.ndim else int(index),)]


def _take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    if axis is None:
        return np.ravel(arr)[indices]
    ndim = indices.ndim
    grids = [
        indices if i == axis % ndim else np.reshape(np.arange(n), (1,) * i + (-1,) + (1,) * (ndim - 1 - i))
        for i, n in enumerate(arr.shape)
    ]
    return arr[tuple(grids)]


def _choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    index = index_array(constant(a))
    count = len(choices)
    if mode != "raise":
        index = np.clip(index, 0, count - 1) if mode == "clip" else index % count
    options = choices if hasattr(type(choices), "__purenet_apply__") else [as_array(c) for c in choices]
    shape = np.broadcast_shapes(index.shape, *[np.shape(option) for option in options])
    stacked = np.stack([np.broadcast_to(option, shape) for option in options])
    return _take_along_axis(stacked, np.broadcast_to(index, shape)[None], 0)[0]


def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    chosen = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        chosen = np.where(condition, choice, chosen)
    return chosen


def _compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    return np.take(a, np.flatnonzero(constant(condition)), axis=axis)


def _delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    return np.take(arr, np.delete(np.arange(arr.size if axis is None else arr.shape[axis]), obj), axis=axis)


def _sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    if axis is None:
        a, axis = np.ravel(a), -1
    return np.take_along_axis(a, np.argsort(constant(a), axis=axis, kind="stable"), axis)


def _partition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> Any:
    """The order in which NumPy puts the elements is told by ranking what it made."""
    if axis is None:
        a, axis = np.ravel(a), -1
    result = np.partition(constant(a), kth, axis, kind)
    rank = np.argsort(np.argsort(result, axis=axis, kind="stable"), axis=axis)
    origin = np.argsort(constant(a), axis=axis, kind="stable")
    return np.take_along_axis(a, np.take_along_axis(origin, rank, axis), axis)


def _unique(
    ar: Any, return_index: bool = False, return_inverse: Any = False, return_counts: Any = False, axis: Any = None,
    **options: Any,
) -> Any:  # fmt: skip
    unique: Any = np.unique
    found = unique(constant(ar), True, return_inverse, return_counts, axis, **options)
    values = np.take(ar, found[1], axis=axis)
    rest = found[1:] if return_index else found[2:]
    return (values, *rest) if rest else values


RULES: dict[Any, Rule] = {
    getitem: Linear(_getitem_pull),
    scatter: Linear(None, None, None, _scatter_pull, variadic=True),
    np.take: Composite(_take),
    np.take_along_axis: Composite(_take_along_axis),
    np.choose: Composite(_choose),
    np.select: Composite(_select),
    np.compress: Composite(_compress),
    np.extract: Composite(lambda condition, arr: np.compress(np.ravel(condition), arr)),
    np.delete: Composite(_delete),
    np.sort: Composite(_sort),
    np.partition: Composite(_partition),
    np.unique: Composite(_unique),
}
