"""`Table`: named columns of numbers, and the way from a table to a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from purenet.data.dataset import Dataset
from purenet.errors import ArgumentError, DataError, ShapeError
from purenet.records import Array, frozen, static, struct

LARGEST_INTEGER = 2.0**53
"""From here on float64 does not tell neighbouring integers apart."""


@struct
class Table:
    """Named columns, left to right, and rows of numbers under them.

    Args:
        columns: the names.
        values: float64, shape (rows, columns). A column of text has the index of each cell in its categories.
        categories: for each column None if it holds numbers, or its distinct texts in sorted order.
        lines: the line of the file that each row came from.
        source: the file that it came from, for messages.

    Example:
        >>> table = Table(("size", "price"), np.array([[50.0, 100.0], [80.0, 170.0]]))
        >>> len(table), table.column("price")
        (2, array([100., 170.]))
    """

    columns: tuple[str, ...] = static()
    values: Array
    categories: tuple[tuple[str, ...] | None, ...] | None = static(default=None)
    lines: Array | None = None
    source: str = static(default="table")

    def __attrs_post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.columns):
            problem = f"expected shape (rows, {len(self.columns)}) for the columns {', '.join(self.columns)}, "
            raise ShapeError(problem + f"got {self.values.shape}", path="Table.values")
        if len(set(self.columns)) < len(self.columns):
            raise DataError(f"two columns have the same name among {', '.join(self.columns)}", path="Table.columns")

    def __len__(self) -> int:
        return len(self.values)

    def index(self, name: str) -> int:
        """Where a column stands, counted from 0; a `DataError` with the closest name if there is none."""
        return column_index(self.columns, name, self.source)

    def column(self, name: str) -> Array:
        """The numbers of one column."""
        return frozen(np.ascontiguousarray(self.values[:, self.index(name)]))  # type: ignore[no-any-return]

    def select(self, names: Sequence[str], dtype: Any = np.float64) -> Array:
        """The numbers of some columns in the order named, shape (rows, len(names)).

        Raises:
            DataError: if there is no such column, or it holds text.
        """
        indices = [self.index(name) for name in names]
        for name, i in zip(names, indices, strict=True):
            texts = self.texts(i)
            if texts is not None:
                row = int(np.argmax([not reads_as_number(text) for text in texts]))
                problem = f"column {name!r} holds text ({self.line(row)}{texts[row]!r}); expected numbers: "
                raise DataError(problem + "mend the cell, or make it the target of a classification", path=self.source)
        return frozen(np.ascontiguousarray(self.values[:, indices], dtype=dtype))  # type: ignore[no-any-return]

    def texts(self, i: int) -> list[str] | None:
        """The cells of the i-th column, if it holds text."""
        categories = None if self.categories is None else self.categories[i]
        return None if categories is None else [categories[int(code)] for code in self.values[:, i]]

    def line(self, row: int) -> str:
        """Where a row came from, for messages."""
        return f"row {row}: " if self.lines is None else f"line {int(self.lines[row])}: "


@struct
class TableDataset:
    """A dataset made from a table, with the names that its numbers go by.

    Args:
        dataset: x has shape (rows, len(inputs)). For regression y has shape (rows, 1); for classification it is an
            int64 vector of indices into `classes`.
        inputs: the columns of x.
        target: the column of y.
        classes: the classes in sorted order, all integers or all text; None for regression.
    """

    dataset: Dataset
    inputs: tuple[str, ...] = static()
    target: str = static()
    classes: tuple[int, ...] | tuple[str, ...] | None = static(default=None)


def to_dataset(
    table: Table,
    target: str,
    task: Literal["regression", "classification"],
    *,
    classes: tuple[int, ...] | tuple[str, ...] | None = None,
    dtype: Any = np.float64,
) -> TableDataset:
    """The dataset that predicts one column of a table from all the others.

    Args:
        table: what to learn from.
        target: the column to predict.
        task: "regression" for a number, "classification" for one of several classes: whole numbers or text.
        classes: the classes, where they are known from before (data to test on); None finds them in the table.
        dtype: of x, and for regression of y.

    Raises:
        DataError: if the target column does not exist or does not fit the task, an input column holds text, there is
            only one class, or a label is outside the given classes; it names the line.

    Example:
        >>> table = Table(("size", "rooms", "price"), np.array([[50.0, 2.0, 100.0], [80.0, 3.0, 170.0]]))
        >>> to_dataset(table, "price", "regression").dataset
        Dataset(x: float64[2, 2], y: float64[2, 1], weights=None)
        >>> made = to_dataset(table, "rooms", "classification")
        >>> made.classes, made.dataset.y
        ((2, 3), array([0, 1]))
    """
    if task not in ("regression", "classification"):
        raise ArgumentError(f"expected 'regression' or 'classification', got {task!r}", path="to_dataset.task")
    position = table.index(target)
    inputs = tuple(name for name in table.columns if name != target)
    if not inputs:
        raise DataError(f"there is nothing to predict {target!r} from: it is the only column", path=table.source)
    x = table.select(inputs, dtype)
    if task == "regression":
        return TableDataset(Dataset(x, table.select([target], dtype)), inputs, target)
    labels = _labels(table, position)
    found: Any = tuple(sorted(set(labels)) if classes is None else classes)
    if len(found) < 2:
        problem = f"column {target!r} has the one value {found[0]!r}; expected at least two classes"
        raise DataError(problem, path=table.source)
    numbers = {label: i for i, label in enumerate(found)}
    for row, label in enumerate(labels):
        if label not in numbers:
            shown = ", ".join(map(repr, found[:20])) + (" ..." if len(found) > 20 else "")
            problem = f"column {target!r} has {table.line(row)}{label!r}, which is outside the classes {shown}"
            raise DataError(problem, path=table.source)
    y = frozen(np.array([numbers[label] for label in labels], np.int64))
    return TableDataset(Dataset(x, y), inputs, target, found)


def reads_as_number(cell: str) -> bool:
    """Whether a cell of a table is a number; `1_000` is none, though Python reads it as one."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def column_index(columns: Sequence[str], name: str, source: str) -> int:
    """Where a name stands among columns; a `DataError` with the closest name and the whole list if it does not."""
    from difflib import get_close_matches

    if name in columns:
        return columns.index(name)

    folded = {column.casefold(): column for column in reversed(columns)}
    close = get_close_matches(str(name).casefold(), folded, n=1)
    suggestion = f"did you mean {folded[close[0]]!r}? " if close else ""
    shown = ", ".join(columns[:50]) + (f" and {len(columns) - 50} more" if len(columns) > 50 else "")
    raise DataError(f"no column {name!r}; {suggestion}The columns are: {shown}", path=source)


def _labels(table: Table, position: int) -> list[Any]:
    """The class of each row: a text or an int."""
    values = table.values[:, position]
    unfit = (values != np.floor(values)) | (np.abs(values) >= LARGEST_INTEGER)
    if unfit.any():
        row = int(np.argmax(unfit))
        raise DataError(
            f"column {table.columns[position]!r} has {table.line(row)}{float(values[row])!r}; classes are text or "
            "whole numbers below 2**53: use the task 'regression', or give the classes names",
            path=table.source,
        )
    return table.texts(position) or [int(value) for value in values]
