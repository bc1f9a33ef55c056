"""`purenet predict`: apply a model, or a recorded run as it was at a step, to the rows of a table."""

from __future__ import annotations

import csv
import gzip
import os
import sys
from argparse import ArgumentParser, Namespace
from typing import Any

import purenet as pn
from purenet.cli import options as types
from purenet.cli.fit import PIECE
from purenet.cli.histories import add_step, model_at, opened
from purenet.cli.plan import in_floats, is_archive
from purenet.cli.terminal import Terminal
from purenet.data.tables import column_index
from purenet.errors import ArgumentError, DataError, StorageError
from purenet.model import Model


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Prints a CSV table with a line for each row. The columns that the model needs are found by their names, and "
        "others are left out."
    )
    parser.add_argument("model", help="a file that purenet fit --save wrote, or the folder of a recorded run")
    parser.add_argument("table", help="a CSV table (.csv, .csv.gz), or an NPZ archive with the array x")
    parser.add_argument("--delimiter", type=types.single_character, default=",", metavar="C",
                        help="what stands between cells")  # fmt: skip
    add_step(parser)


def run(options: Namespace) -> None:
    """Print a prediction for each row."""
    model = _model(options.model, options.step)
    x = _inputs(model, options.table, options.delimiter)
    write = csv.writer(sys.stdout, lineterminator="\n").writerow
    for start in range(0, len(x), PIECE):
        predictions = model.predict(x[start : start + PIECE])
        if start == 0:
            write(_columns(model, predictions))
        for row in predictions.tolist():
            write(row if isinstance(row, list) else [row])


def _model(path: str, step: int | None) -> Model:
    """The model in a file, or in a history."""
    if os.path.isdir(path):  # noqa: PTH112
        with opened(path, Terminal()) as history:
            return model_at(history, step)
    if step is not None:
        raise ArgumentError(f"{path} holds one model; only the folder of a recorded run has steps", path="--step")
    model = pn.load(path, classes=(Model,))
    if not isinstance(model, Model):
        kind = type(model).__name__
        raise StorageError(f"it holds a {kind}, not a model that purenet fit --save wrote", path=path)
    return model


def _columns(model: Model, predictions: Any) -> list[str]:
    name = model.target or "prediction"
    if predictions.ndim == 1 or predictions.shape[1] == 1:
        return [name]
    return [f"{name}_{i}" for i in range(predictions.shape[1])]


def _inputs(model: Model, path: str, delimiter: str) -> Any:
    """The rows that the model is applied to."""
    if is_archive(path):
        arrays = pn.read_npz(path)
        if "x" not in arrays:
            raise DataError(f"expected an array x, got {', '.join(sorted(arrays)) or 'nothing'}", path=path)
        return in_floats(arrays["x"])
    if model.inputs is None:
        table = pn.read_csv(path, delimiter=delimiter)
        return table.select(table.columns)
    header, needed = _header(path, delimiter), set(model.inputs)
    for name in model.inputs if header else ():
        column_index(header, name, path)  # says what the table does have
    others = tuple(name for name in header if name not in needed)
    return pn.read_csv(path, ignore=others, delimiter=delimiter).select(model.inputs)


def _header(path: str, delimiter: str) -> list[str]:
    """The names in the first line; what is wrong with it is for `read_csv` to say."""
    try:
        with _open(path) as file:
            rows = csv.reader(file, delimiter=delimiter)
            return [name.strip() for name in next(filter(None, rows), [])]
    except (csv.Error, UnicodeDecodeError, gzip.BadGzipFile, EOFError):
        return []


def _open(path: str) -> Any:
    if path.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return open(path, encoding="utf-8-sig", newline="")  # noqa: PTH123
