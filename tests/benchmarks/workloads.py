"""The work that everybody is measured on: sizes, data and initial weights."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
"""Adam's constants, the same for all."""


@dataclass(frozen=True)
class Workload:
    """One full-batch training step: Dense layers with bias and ReLU between them, a loss, SGD or Adam.

    Attributes:
        batch: rows of the batch.
        sizes: features at the input, after each hidden layer, and at the output.
        dtype: "float64" or "float32".
        optimizer: "sgd" or "adam".
        learning_rate: the step size.
        loss: "squared error", the mean of it, or "cross entropy" of classes.
    """

    batch: int
    sizes: tuple[int, ...]
    dtype: str
    optimizer: str = "sgd"
    learning_rate: float = 1e-2
    loss: str = "squared error"

    @property
    def title(self) -> str:
        """How tables name it.

        Example:
            >>> ROWS[0].title
            '64,20,100,10 float64 SGD'
        """
        loss = "" if self.loss == "squared error" else f", {self.loss}"
        return f"{','.join(map(str, (self.batch, *self.sizes)))} {self.dtype} {_TITLES[self.optimizer]}{loss}"


@dataclass(frozen=True)
class Problem:
    """The arrays of a workload: the batch, and a (weight, bias) for each layer. Nobody may change them."""

    x: Any
    y: Any
    layers: tuple[tuple[Any, Any], ...]

    def copies(self) -> list[Any]:
        """All parameters in order, weight and bias by turns, as new arrays to be changed at will."""
        return [array.copy() for layer in self.layers for array in layer]


def problem(workload: Workload) -> Problem:
    """Normally distributed data, weights by He's rule, small biases: the same in every process."""
    draw = np.random.RandomState(0).standard_normal
    layers = [((2 / n_in) ** 0.5 * draw((n_in, n_out)), 0.1 * draw(n_out)) for n_in, n_out in pairwise(workload.sizes)]
    x, y = draw((workload.batch, workload.sizes[0])), draw((workload.batch, workload.sizes[-1]))
    return Problem(
        _owned(x, workload.dtype),
        _owned(y.argmax(axis=1), "int64") if workload.loss == "cross entropy" else _owned(y, workload.dtype),
        tuple((_owned(weight, workload.dtype), _owned(bias, workload.dtype)) for weight, bias in layers),
    )


def _owned(array: Any, dtype: str) -> Any:
    array = array.astype(dtype)
    array.flags.writeable = False
    return array


_TITLES = {"sgd": "SGD", "adam": "Adam"}

ROWS = (
    Workload(64, (20, 100, 10), "float64"),
    Workload(64, (20, 100, 10), "float32"),
    Workload(64, (1000, 100, 10), "float64"),
    Workload(64, (1000, 100, 10), "float32"),
    Workload(64, (20, 100, 10), "float64", "adam", 1e-3),
    Workload(128, (784, 256, 10), "float32", "adam", 1e-3),
    Workload(256, (1024, 1024, 100), "float32", "adam", 1e-3),
)
"""The rows of the training table."""

PREDICTIONS = (Workload(1, (10, 16, 1), "float64"), Workload(1, (64, 64, 64, 10), "float64"))
"""The networks of the prediction table; the batch is one example."""


def _growing(batch: int, sizes: tuple[int, ...]) -> Workload:
    """With a rate at which deep and wide networks stay finite however many steps a measurement takes."""
    return Workload(batch, sizes, "float32", learning_rate=1e-5)


GROWTH = {
    "width": {n: _growing(64, (n, n, n)) for n in (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)},
    "batch": {n: _growing(n, (256, 256, 256)) for n in (1, 4, 16, 64, 256, 1024, 4096, 8192)},
    "depth": {n: _growing(64, (64,) * (n + 1)) for n in (1, 2, 4, 8, 16, 32, 64)},
}
"""The rows of the growth tables, by what grows and how far."""

LENGTHS = (1_000, 10_000, 100_000, 1_000_000)
"""Rows of the memory-mapped datasets; the network and the batch are those of the second training row."""
