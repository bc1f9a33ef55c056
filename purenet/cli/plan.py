"""From what the command line says to a plan: what is trained, on which data, and how it is judged."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np

import purenet as pn
from purenet.cli.options import ACTIVATIONS, arithmetic
from purenet.data.tables import Table, reads_as_number
from purenet.errors import ArgumentError, DataError, count
from purenet.history import Run
from purenet.model import Model
from purenet.optimizers import by_name

Task = Literal["regression", "classification"]

MOST_NUMBERED_CLASSES = 20
"""With more distinct whole numbers than this, a column of a table is taken for a quantity."""


class Source(NamedTuple):
    """Examples with the names that belong to them, the task, and why it is this one."""

    path: str
    dataset: pn.Dataset
    task: Task
    reason: str
    inputs: tuple[str, ...] | None = None
    target: str | None = None
    classes: tuple[int, ...] | tuple[str, ...] | None = None


def is_archive(path: str) -> bool:
    """Whether a file is taken for an NPZ archive, rather than for a table."""
    return path.lower().endswith(".npz")


def in_floats(x: Any) -> Any:
    """An array of float32 or float64 as it is, any other as float64."""
    return x if x.dtype in (np.float32, np.float64) else x.astype(np.float64)


def read_source(
    path: str, target: str | None, task: Task | None, ignore: tuple[str, ...] = (), delimiter: str = ","
) -> Source:
    """Read the examples in a CSV table or NPZ archive; if `task` is None, it is chosen by the values of the target.

    Raises:
        DataError: if the data is not fit to learn from; it names the place.
        ArgumentError: if an option does not go with the file.
        OSError: if the file cannot be opened.
    """
    if is_archive(path):
        if target is not None or ignore:
            option = "--ignore" if target is None else "--target"
            raise ArgumentError(f"an archive has its target in y, and its inputs in x; leave {option} out", path=path)
        arrays = pn.read_npz(path)
        try:
            return _from_arrays(path, arrays, task)
        except DataError as error:
            raise DataError(str(error), path=path) from None
    if target is None:
        raise ArgumentError(f"say which column of {os.path.basename(path)} is to be predicted", path="--target")  # noqa: PTH119
    table = pn.read_csv(path, target, ignore=ignore, delimiter=delimiter)
    chosen, reason = (task, "") if task is not None else _task_of_column(table, target)
    made = pn.to_dataset(table, target, chosen)
    return Source(path, made.dataset, chosen, reason, made.inputs, made.target, made.classes)


def _task_of_column(table: Table, target: str) -> tuple[Task, str]:
    """What a column is most likely meant to be, and why."""
    categories = None if table.categories is None else table.categories[table.index(target)]
    if categories is not None:
        if 2 * sum(map(reads_as_number, categories)) > len(categories):
            return "regression", f"{target} has mostly numbers"  # which will name the cell that is none
        return "classification", f"{target} has text"
    values = table.column(target)
    distinct = np.unique(values)
    if len(distinct) <= MOST_NUMBERED_CLASSES and np.array_equal(distinct, np.floor(distinct)):
        return "classification", f"{target} has {len(distinct)} distinct whole numbers"
    return "regression", f"{target} has {len(distinct)} distinct numbers"


def _from_arrays(path: str, arrays: Mapping[str, Any], task: Task | None) -> Source:
    if not {"x", "y"} <= set(arrays):
        found = ", ".join(sorted(arrays)) or "nothing"
        raise DataError(f"expected the arrays x and y, with a row per example, got {found}")
    x, y, weights = arrays["x"], arrays["y"], arrays.get("weights")
    if x.ndim != 2:
        raise DataError(f"expected x of shape (rows, inputs), got {x.shape}; reshape it")
    if y.ndim not in (1, 2):
        raise DataError(f"expected y of shape (rows,) or (rows, targets), got {y.shape}; reshape it")
    for name, array in arrays.items():
        if array.dtype.kind == "c":
            raise DataError(f"expected real numbers in {name}, got {array.dtype}")
    x = in_floats(x)
    labelled = y.ndim == 1 and y.dtype.kind in "biu"
    reason = "" if task is not None else f"y has {y.dtype} numbers of shape {y.shape}"
    if task == "regression" or (task is None and not labelled):
        targets = y.astype(x.dtype).reshape(len(y), -1)
        return Source(path, pn.Dataset(x, targets, weights), "regression", reason)
    if not labelled:
        problem = f"classification needs integer labels of shape (rows,), got y as {y.dtype} of shape {y.shape}"
        raise DataError(f"{problem}; convert it with .astype(np.int64), or use the task regression")
    distinct, labels = np.unique(y, return_inverse=True)
    if len(distinct) < 2:
        raise DataError(f"y has {len(distinct)} distinct values; expected at least two classes")
    classes = tuple(int(label) for label in distinct)
    return Source(path, pn.Dataset(x, labels.astype(np.int64), weights), "classification", reason, classes=classes)


LEARNING_RATES = MappingProxyType({"sgd": 1e-2, "adagrad": 1e-2, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3})
"""Where nothing is said about the learning rate of an optimizer."""

SEED_SLICES = 3
"""Slices of the products on random data: as many as it takes for the losses that the seed program prints."""

LARGEST_RANDOM_STATE = 2**32 - 1
"""The largest seed of the generator that draws the random data."""


class Plan(NamedTuple):
    """A training run to be.

    Attributes:
        description: what is said about it beforehand, in lines.
        run: the run.
        train: all that is trained on, on the scale that the network sees.
        test: what is held out, on the same scale; None if nothing is.
        template: the model that is saved, but for its network.
    """

    description: tuple[str, ...]
    run: Run
    train: pn.Dataset
    test: pn.Dataset | None
    template: Model


def make_plan(options: Namespace) -> Plan:
    """The plan for a table, or for random data where none is named.

    Raises:
        ArgumentError, DataError, OSError: if options or data are not fit for it.
    """
    return _for_random_data(options) if options.table is None else _for_table(options)


def _completed(options: Namespace, **defaults: Any) -> Namespace:
    """The options with a default for those that were not given."""
    return Namespace(**(vars(options) | {k: v for k, v in defaults.items() if getattr(options, k) is None}))


def _for_random_data(options: Namespace) -> Plan:
    """The first seed program: x, y and the weights are drawn in its order."""
    for name in ("target", "task", "ignore", "delimiter", "test_fraction", "standardize", "batch_size"):
        if getattr(options, name) is not None:
            raise ArgumentError("needs a table to apply to: purenet fit table.csv", path=f"--{name.replace('_', '-')}")
    if options.seed > LARGEST_RANDOM_STATE:
        raise ArgumentError(f"random data has seeds up to {LARGEST_RANDOM_STATE}, got {options.seed}", path="--seed")
    options = _completed(options, hidden=(100,), optimizer="sgd", steps=500)
    draw = np.random.RandomState(options.seed).randn
    sizes = (1000, *options.hidden, 10)
    data = pn.Dataset(draw(64, sizes[0]), draw(64, sizes[-1]))
    first, *others = [pn.Dense(draw(n_in, n_out)) for n_in, n_out in pairwise(sizes)]
    activation = ACTIVATIONS[options.activation]
    net = pn.Sequential((first, *(layer for dense in others for layer in (activation, dense))))
    rate = options.learning_rate or (LEARNING_RATES | {"sgd": 1e-6})[options.optimizer]
    return Plan(
        description=(
            f"no table named: the random data of the first example, seed {options.seed}",
            f"network {_arrows(sizes)} with {options.activation}, no biases; sum squared error over {len(data)} rows",
            f"{options.optimizer}, learning rate {rate:g}",
        ),
        run=Run(
            net=net,
            objective=pn.objective(pn.losses.sum_squared_error),
            optimizer=by_name(options.optimizer, rate),
            batches=pn.Batches(data, size=None),
            steps=options.steps,
            arithmetic=arithmetic(options, SEED_SLICES),
        ),
        train=data,
        test=None,
        template=Model(None),
    )


def _for_table(options: Namespace) -> Plan:
    """Standardised columns, a multilayer perceptron, shuffled batches, and a part held out."""
    options = _completed(options, delimiter=",", ignore=(), test_fraction=0.2, standardize=True)
    options = _completed(options, hidden=(64, 64), optimizer="adam", steps=2000)
    source = read_source(options.table, options.target, options.task, options.ignore, options.delimiter)
    split_key, net_key, run_key = pn.split(pn.key(options.seed), 3)
    train, test = _parts(source, split_key, options.test_fraction)
    scale_x = pn.standardize(train.x) if options.standardize else None
    scale_y = pn.standardize(train.y) if options.standardize and source.classes is None else None
    train, test = _scaled(train, scale_x, scale_y), None if test is None else _scaled(test, scale_x, scale_y)
    outputs = train.y.shape[1] if source.classes is None else len(source.classes)
    sizes = (train.x.shape[1], *options.hidden, outputs)
    loss = pn.losses.mean_squared_error if source.classes is None else pn.losses.softmax_cross_entropy
    rate = options.learning_rate or LEARNING_RATES[options.optimizer]
    size = _batch_size(options, len(train))
    return Plan(
        description=(
            _describe_source(source),
            _describe_task(source),
            _describe_parts(train, test, scale_x, scale_y),
            f"network {_arrows(sizes)} with {options.activation}; {loss.__name__.replace('_', ' ')}",
            f"{options.optimizer}, learning rate {rate:g}, batches of {size}, seed {options.seed}",
        ),
        run=Run(
            net=pn.mlp(net_key, sizes, activation=ACTIVATIONS[options.activation], dtype=train.x.dtype),
            objective=pn.objective(loss),
            optimizer=by_name(options.optimizer, rate),
            batches=pn.Batches(train, size=size, key=run_key),
            steps=options.steps,
            key=run_key,
            arithmetic=arithmetic(options),
        ),
        train=train,
        test=test,
        template=Model(
            None,
            standardize_x=scale_x,
            standardize_y=scale_y,
            inputs=source.inputs,
            target=source.target,
            classes=source.classes,
        ),
    )


def _parts(source: Source, key: Any, test_fraction: float) -> tuple[pn.Dataset, pn.Dataset | None]:
    """What to train on, and what to hold out."""
    if not test_fraction:
        return source.dataset, None
    if len(source.dataset) < 2:
        problem = f"it has {len(source.dataset)} row; holding a part out needs 2: add rows, or use --test-fraction 0"
        raise DataError(problem, path=source.path)
    return pn.train_test_split(source.dataset, key, test_fraction)


def _scaled(data: pn.Dataset, scale_x: pn.Standardize | None, scale_y: pn.Standardize | None) -> pn.Dataset:
    """The data on the scale that the network sees."""
    x = data.x if scale_x is None else scale_x.apply(data.x)
    y = data.y if scale_y is None else scale_y.apply(data.y)
    return pn.Dataset(x, y, data.weights)


def _batch_size(options: Namespace, rows: int) -> int:
    size: int = options.batch_size or min(64, rows)
    if size > rows:
        raise ArgumentError(f"there are {rows} rows to train on; use {rows} or less", path=f"--batch-size {size}")
    return size


def _describe_source(source: Source) -> str:
    rows, inputs = source.dataset.x.shape
    target = "" if source.target is None else f", to predict {source.target}"
    return f"{os.path.basename(source.path)}: {count(rows, 'row')}, {count(inputs, 'input')}{target}"  # noqa: PTH119


def _describe_task(source: Source) -> str:
    other = "regression" if source.task == "classification" else "classification"
    why = f", for {source.reason} (--task {other} otherwise)" if source.reason else ""
    classes = "" if source.classes is None else f" into {len(source.classes)} classes"
    return f"{source.task}{classes}{why}"


def _describe_parts(train: pn.Dataset, test: pn.Dataset | None, scale_x: Any, scale_y: Any) -> str:
    held_out = "none held out" if test is None else f"{len(test)} held out"
    what = "inputs" if scale_y is None else "inputs and target"
    scaled = "" if scale_x is None else f"; {what} standardized"
    return f"{count(len(train), 'row')} to train on, {held_out}{scaled}"


def _arrows(sizes: Iterable[int]) -> str:
    return " -> ".join(map(str, sizes))
