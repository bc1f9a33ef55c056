"""Examples and batches of them: `Dataset`, and `Batches`, where batch t is a pure function of (key, t)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np

from purenet.arguments import check_count
from purenet.errors import ArgumentError, DataError, DtypeError
from purenet.keys import require_key
from purenet.random import Key, fold_in, permutation
from purenet.records import Array, assemble, frozen, own, static, struct

CHUNK = 1 << 16
"""How many numbers the check for NaN looks at together: few enough to stay in a processor's cache."""


def as_array(value: Any, place: str) -> Array:
    """`value` as an array of numbers in the machine's byte order, or an error; a memory map stays a memory map."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise DataError("the rows have different lengths; every row needs the same shape", path=place) from None
    if isinstance(value, np.ndarray) and np.any(getattr(value, "mask", False)):
        fix = "fill them in with .filled(value), or leave their rows out"
        raise DataError(f"the array has masked values, which would count as if they were not; {fix}", path=place)
    if array.dtype.kind not in "biufc" and array.ndim == 0:
        raise DtypeError(f"expected an array of numbers, got {type(value).__name__} {value!r:.60}", path=place)
    if array.dtype.kind not in "biufc":
        fix = "encode text as numbers (pn.to_dataset), convert objects with .astype(np.float64)"
        raise DtypeError(f"expected an array of numbers, got dtype {array.dtype}; {fix}", path=place)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _array_field(name: str) -> Callable[[Any], Array | None]:
    return lambda value: None if value is None else as_array(value, f"Dataset.{name}")


@struct
class Dataset:
    """Examples to learn from: row i of `x` belongs to row i of `y`, and to `weights[i]` where there are weights.

    A read-only memory-mapped array (`purenet.read_npy`, or `np.load(path, mmap_mode="r")`) in C order is kept as it is
    and read batch by batch; so is any other array that nobody can write to. Everything else is copied once.

    Args:
        x: the inputs, any shape with one row per example, numbers of any dtype.
        y: the targets, as many rows: numbers for regression, integer class labels or one-hot rows for classification.
        weights: how much each example counts, shape (rows,), none negative; None counts all alike.

    Raises:
        DataError: if there are no rows, the lengths differ, or a value is NaN or infinite; it names row and column,
            counted from 0. The check reads all the data once, in small pieces; `Dataset.without_finite_check` skips it.
        DtypeError: if an array holds anything but numbers.

    Example:
        >>> data = Dataset(np.ones((5, 3)), np.zeros((5, 1)))
        >>> data
        Dataset(x: float64[5, 3], y: float64[5, 1], weights=None)
        >>> len(data), data.take([0, 4])
        (5, Dataset(x: float64[2, 3], y: float64[2, 1], weights=None))
    """

    x: Array = attrs.field(converter=_array_field("x"))
    y: Array = attrs.field(converter=_array_field("y"))
    weights: Array | None = attrs.field(default=None, converter=_array_field("weights"))

    def __attrs_post_init__(self) -> None:
        _check_shapes(self)
        for name, array in _arrays(self).items():
            check_finite(array, f"Dataset.{name}")
        if self.weights is not None and self.weights.min() < 0:
            row = int(np.argmax(self.weights < 0))
            problem = f"expected weights of 0 or more, got {self.weights[row]} at row {row} (counted from 0)"
            raise DataError(problem, path="Dataset.weights")

    @classmethod
    def without_finite_check(cls, x: Any, y: Any, weights: Any = None) -> Dataset:
        """A dataset whose values are not looked at: for large data that is known to be finite."""
        given = {"x": x, "y": y, "weights": weights}
        dataset = assemble(cls, {name: own(_array_field(name)(value)) for name, value in given.items()})
        _check_shapes(dataset)
        return dataset

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: Any) -> Dataset:
        """The dataset of some rows, in the order in which they are named.

        Args:
            rows: a slice, an array of row numbers, or an array of as many booleans as there are rows.

        Raises:
            DataError: if that is no row at all.
            ArgumentError: if `rows` is none of these.
            IndexError: if there is no such row.
        """
        chosen = rows if isinstance(rows, slice) else _row_numbers(rows, len(self))
        parts = {name: rows_of(array, chosen) for name, array in _arrays(self).items()}
        if len(parts["x"]) == 0:
            raise DataError("no row is chosen; a dataset has at least one", path="Dataset.take")
        return assemble(Dataset, {"weights": None, **parts})


def _arrays(dataset: Dataset) -> dict[str, Array]:
    """x, y and the weights, if there are any."""
    arrays = {"x": dataset.x, "y": dataset.y}
    return arrays if dataset.weights is None else {**arrays, "weights": dataset.weights}


def _row_numbers(rows: Any, count: int) -> Array:
    numbers = np.asarray(rows)
    if numbers.dtype == bool and numbers.shape == (count,):
        return np.flatnonzero(numbers)
    if numbers.ndim != 1 or (numbers.dtype.kind not in "iu" and numbers.size):
        problem = f"expected a slice, row numbers, or {count} booleans, got {numbers.dtype} of shape {numbers.shape}"
        raise ArgumentError(problem, path="Dataset.take")
    return numbers.astype(np.intp)


def rows_of(array: Array, rows: Any) -> Array:
    """Some rows of an array that nobody can write to, read-only: a view for a slice, a copy for row numbers."""
    if isinstance(rows, slice):
        part: Array = array[rows]
        return part if part.flags.c_contiguous else frozen(np.array(part, order="C"))
    # `take` is twice as fast as indexing, but begins by copying the whole of an array that is not aligned.
    part = array.take(rows, 0) if array.flags.aligned else array[rows]
    part.flags.writeable = False
    return part


def check_finite(array: Array, place: str) -> None:
    """Raise a `DataError` that names the first NaN or infinity, if there is one; looks at a small piece at a time."""
    if array.dtype.kind not in "fc" or array.size == 0:
        return
    rows = max(1, CHUNK // (array.size // len(array)))
    for start in range(0, len(array), rows):
        finite = np.isfinite(array[start : start + rows])
        if not finite.all():
            row, *rest = (int(i) for i in np.argwhere(~finite)[0])
            value = array[(start + row, *rest)]
            where = f"row {start + row}" + (f", column {', '.join(map(str, rest))}" if rest else "")
            name = "NaN" if np.isnan(value) else "infinity"
            raise DataError(f"{name} at {where} (counted from 0); remove the row or fill the value in", path=place)


def _check_shapes(dataset: Dataset) -> None:
    arrays = _arrays(dataset)
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.ndim == 0:
            raise DataError("expected an array with one row per example, got a single value", path=f"Dataset.{name}")
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise DataError(f"every array needs the same number of rows, but {counts}", path="Dataset")
    for name, array in arrays.items():
        if array.size == 0:
            problem = f"the data is empty (shape {array.shape}); expected at least one row and one column"
            raise DataError(problem, path=f"Dataset.{name}")
    weights = dataset.weights
    if weights is not None and (weights.ndim != 1 or weights.dtype.kind == "c"):
        problem = f"expected real numbers of shape ({len(dataset)},), got {weights.dtype} of shape {weights.shape}"
        raise DataError(problem, path="Dataset.weights")


def _checked_size(size: Any) -> int | None:
    return None if size is None else check_count("Batches.size", size)


@struct
class Batches:
    """Batches without end: each epoch visits every row of the dataset once, in an order of its own.

    Epoch e = t // per_epoch takes its order from `permutation(fold_in(fold_in(key, "batches"), e), len(dataset))`, and
    batch t is the (t % per_epoch)-th piece of it: read-only arrays `(x, y)`, or `(x, y, weights)` if there are weights.

    Iterating costs O(size) for a batch and one permutation for an epoch. `at(t)` makes the permutation again, O(rows)
    (about 0.1 s for a million rows); without shuffling there is none.

    Args:
        dataset: where the rows come from; a memory-mapped one is read batch by batch.
        size: rows in a batch. None is full batch: every step sees the very arrays of the dataset.
        key: where the orders come from; not needed without shuffling.
        shuffle: False goes through the rows as they stand, and hands out views instead of copies.
        drop_last: whether to leave out the last batch of an epoch if it has fewer rows than `size`.

    Raises:
        ArgumentError: if `size` is below 1 or above the number of rows, or shuffling has no key.

    Example:
        >>> import purenet as pn
        >>> import numpy as np
        >>> from toolz import take
        >>> data = Dataset(np.arange(10.0).reshape(5, 2), np.arange(5))
        >>> batches = Batches(data, size=2, key=pn.key(0))
        >>> [x.shape for x, y in take(4, batches)]
        [(2, 2), (2, 2), (1, 2), (2, 2)]
        >>> sorted(int(label) for x, y in take(batches.per_epoch, batches) for label in y)
        [0, 1, 2, 3, 4]
        >>> x, y = batches.at(1_000_000)
    """

    dataset: Dataset
    size: int | None = static(converter=_checked_size)
    key: Key | None = None
    shuffle: bool = static(default=True, kw_only=True)
    drop_last: bool = static(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.dataset, Dataset):
            problem = f"expected a Dataset, got {type(self.dataset).__name__}; wrap the arrays in purenet.Dataset(x, y)"
            raise DtypeError(problem, path="Batches.dataset")
        if self.key is not None:
            require_key(self.key, "Batches")
        rows = len(self.dataset)
        if self.size is not None and self.size > rows:
            problem = f"the dataset has {rows} rows, so a batch cannot have {self.size}; use None for all"
            raise ArgumentError(problem, path="Batches.size")
        if self.size is not None and self.shuffle and self.key is None:
            problem = "shuffling needs a key; pass key=purenet.key(0), or shuffle=False to keep the order of the rows"
            raise ArgumentError(problem, path="Batches.key")

    @property
    def per_epoch(self) -> int:
        """How many batches go through the dataset once."""
        if self.size is None:
            return 1
        whole, rest = divmod(len(self.dataset), self.size)
        return whole if self.drop_last or not rest else whole + 1

    def at(self, t: int) -> tuple[Array, ...]:
        """Batch t, counted from 0: a pure function of the record and t.

        Raises:
            ArgumentError: if t is negative.
        """
        epoch, piece = divmod(check_count("Batches.at.t", t, at_least=0), self.per_epoch)
        return _piece(self, _order(self, epoch), piece)

    def from_step(self, t: int) -> Iterator[tuple[Array, ...]]:
        """Batches t, t + 1, ... without end, as an uninterrupted iteration has them from its t-th on."""
        return _iterate(self, check_count("Batches.from_step.t", t, at_least=0))

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        return _iterate(self, 0)


def _iterate(batches: Batches, t: int) -> Iterator[tuple[Array, ...]]:
    """The batches from t on; the order of the epoch under way lives in this generator and nowhere else."""
    per_epoch = batches.per_epoch
    epoch, piece = divmod(t, per_epoch)
    while True:
        order = _order(batches, epoch)
        for i in range(piece, per_epoch):
            yield _piece(batches, order, i)
        epoch, piece = epoch + 1, 0


def _order(batches: Batches, epoch: int) -> Array | None:
    """The order in which an epoch visits the rows; None for the order in which they stand."""
    if batches.size is None or not batches.shuffle or batches.key is None:
        return None
    order: Array = permutation(fold_in(fold_in(batches.key, "batches"), epoch), len(batches.dataset))
    return order


def _piece(batches: Batches, order: Array | None, i: int) -> tuple[Array, ...]:
    """The i-th batch of an epoch."""
    data, size = batches.dataset, batches.size
    if size is None:
        return (data.x, data.y) if data.weights is None else (data.x, data.y, data.weights)
    rows = slice(i * size, (i + 1) * size)
    chosen = rows if order is None else order[rows]
    x, y = rows_of(data.x, chosen), rows_of(data.y, chosen)
    return (x, y) if data.weights is None else (x, y, rows_of(data.weights, chosen))
