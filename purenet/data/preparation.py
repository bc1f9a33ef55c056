"""What is done to data before training: standardising, splitting, one-hot labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from purenet.arguments import check_count, check_number
from purenet.arithmetic.reduction import fixed_order_sum
from purenet.data.dataset import Dataset, as_array, check_finite
from purenet.errors import DataError, DtypeError, ShapeError
from purenet.random import Key, fold_in, permutation
from purenet.records import Array, frozen, is_array_like, struct

ROWS = 256
"""How many rows are summed by halving before such sums are added up: part of the order, and so of the bits."""


@struct
class Standardize:
    """A shift and a scale for each column, fitted by `standardize`: `apply(x) = (x - mean) / scale`.

    Args:
        mean: what is subtracted, one number per column.
        scale: what is divided by, one number per column, none of them 0.

    Example:
        >>> prepare = Standardize(mean=np.array([1.0, 10.0]), scale=np.array([2.0, 5.0]))
        >>> prepare.apply(np.array([[3.0, 0.0]]))
        array([[ 1., -2.]])
        >>> prepare.invert(np.array([[1.0, -2.0]]))
        array([[3., 0.]])
    """

    mean: Array
    scale: Array

    def apply(self, x: Any) -> Any:
        """`(x - mean) / scale`, row by row; float32 stays float32.

        Raises:
            ShapeError: if `x` has other columns than what this was fitted on; so does `invert`.
        """
        x, mean, scale = self._matching(x, "apply")
        return frozen((x - mean) / scale)

    __call__ = apply

    def invert(self, z: Any) -> Any:
        """`z * scale + mean`: what `apply` was given, to rounding."""
        z, mean, scale = self._matching(z, "invert")
        return frozen(z * scale + mean)

    def _matching(self, x: Any, method: str) -> tuple[Any, Any, Any]:
        x = x if is_array_like(x) else np.asarray(x)
        columns = self.mean.shape
        if x.ndim < len(columns) or x.shape[x.ndim - len(columns) :] != columns:
            problem = f"it was fitted on rows of shape {columns}, got an array of shape {x.shape}"
            raise ShapeError(problem, path=f"Standardize.{method}")
        dtype = x.dtype if x.dtype.kind == "f" else self.mean.dtype
        return x, self.mean.astype(dtype, copy=False), self.scale.astype(dtype, copy=False)


def standardize(x: Any) -> Standardize:
    """Fit the shift and scale that give every column of `x` mean 0 and standard deviation 1.

    mean = sum(x) / n and scale = sqrt(sum((x - mean)^2) / n) over the rows, summed in float64 in a fixed order (blocks
    of 256 rows by halving, then block after block), so that the bits are the same on every machine. A column that is
    constant gets its value as mean, and scale 1. Fit it on the training rows alone and apply it to all. A memory-mapped
    `x` is read in pieces.

    Args:
        x: one row per example, any shape, real and finite.

    Raises:
        DataError: if `x` has no rows, or holds NaN or infinity.

    Example:
        >>> prepare = standardize(np.array([[1.0, 5.0], [3.0, 5.0]]))
        >>> prepare.apply(np.array([[1.0, 5.0], [4.0, 6.0]]))
        array([[-1.,  0.],
               [ 2.,  1.]])
    """
    x = as_array(x, "standardize.x")
    if x.dtype.kind == "c":
        raise DtypeError(f"expected real numbers, got {x.dtype}", path="standardize.x")
    if x.ndim == 0 or x.size == 0:
        raise DataError(f"expected at least one row and one column, got shape {x.shape}", path="standardize.x")
    check_finite(x, "standardize.x")
    low, high = _extremes(x)
    # Dividing by powers of two rounds nothing, and keeps every sum and square in range.
    unit = _power_of_two(np.maximum(np.abs(low), np.abs(high)))
    mean = np.clip(_sum(x, lambda block: block / unit) / len(x) * unit, low, high)
    spread = _power_of_two(np.maximum(high / 2 - mean / 2, mean / 2 - low / 2))
    scale = np.sqrt(_sum(x, lambda block: np.square(block / spread - mean / spread)) / len(x)) * spread
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
    with np.errstate(under="ignore"):
        mean, scale = mean.astype(dtype), scale.astype(dtype)
    constant = (low == high) | (scale == 0)
    return Standardize(mean=frozen(mean), scale=frozen(np.where(constant, np.ones((), dtype), scale)))


def _blocks(x: Array) -> Iterator[Array]:
    """The rows of `x` in float64, some at a time."""
    for start in range(0, len(x), ROWS):
        yield np.asarray(x[start : start + ROWS], np.float64)


def _extremes(x: Array) -> tuple[Array, Array]:
    """The smallest and the largest number of each column."""
    low, high = np.full(x.shape[1:], np.inf), np.full(x.shape[1:], -np.inf)
    for block in _blocks(x):
        low, high = np.asarray(np.minimum(low, block.min(axis=0))), np.asarray(np.maximum(high, block.max(axis=0)))
    return low, high


def _sum(x: Array, f: Callable[[Array], Array]) -> Array:
    """The sum of `f` over the rows, in the order that `standardize` promises."""
    total = np.zeros(x.shape[1:])
    for block in _blocks(x):
        total = np.asarray(total + fixed_order_sum(f(block), axis=0))
    return total


def _power_of_two(array: Array) -> Array:
    """For each number a power of two of its size, kept where dividing by it is safe."""
    exponent = np.clip(np.frexp(array)[1], -1000, 1000)
    return np.asarray(np.ldexp(1.0, exponent))


def train_test_split(dataset: Dataset, key: Key, test_fraction: float = 0.2) -> tuple[Dataset, Dataset]:
    """Divide the rows of a dataset at random into a part to train on and a part to test on.

    The test part has `round(test_fraction * rows)` rows, at least one, and leaves at least one. Within each part the
    rows keep their order. The same key gives the same split.

    Raises:
        DataError: if there are fewer than two rows.
        ArgumentError: if `test_fraction` is not between 0 and 1, both excluded.

    Example:
        >>> import purenet as pn
        >>> data = Dataset(np.arange(10.0).reshape(10, 1), np.arange(10.0))
        >>> train, test = train_test_split(data, pn.key(0))
        >>> len(train), len(test)
        (8, 2)
    """
    rows = len(dataset)
    test_fraction = check_number("train_test_split.test_fraction", test_fraction, above=0, below=1)
    if rows < 2:
        raise DataError(f"splitting needs at least 2 rows, got {rows}", path="train_test_split.dataset")
    count = min(max(round(test_fraction * rows), 1), rows - 1)
    order = permutation(fold_in(key, "train_test_split"), rows)
    return dataset.take(np.sort(order[count:])), dataset.take(np.sort(order[:count]))


def one_hot(labels: Any, classes: int, dtype: Any = np.float64) -> Array:
    """Integer labels as rows that are 1 at the label and 0 elsewhere.

    Args:
        labels: integers from 0 to classes - 1, any shape.
        classes: how many classes there are.
        dtype: of the result.

    Returns:
        an array of the shape of `labels` with an axis of `classes` added at the end.

    Raises:
        DataError: if a label is outside the classes; it names the row.
        DtypeError: if the labels are not integers.

    Example:
        >>> one_hot([2, 0], 3)
        array([[0., 0., 1.],
               [1., 0., 0.]])
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        problem = f"expected integer labels, got dtype {labels.dtype}; convert them with .astype(np.int64)"
        raise DtypeError(problem, path="one_hot.labels")
    classes = check_count("one_hot.classes", classes)
    outside = np.argwhere((labels < 0) | (labels >= classes))
    if len(outside):
        place = tuple(outside[0].tolist())
        where = f"at row {', '.join(map(str, place))} (counted from 0)"
        problem = f"label {labels[place]} {where} is outside the {classes} classes 0 to {classes - 1}"
        raise DataError(problem, path="one_hot.labels")
    return frozen(np.asarray(labels[..., None] == np.arange(classes), dtype))  # type: ignore[no-any-return]
