"""Networks for the tests of optimizers: trees of every kind, with leaves of several shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from purenet import Array, static, struct


@struct
class Dense:
    """A layer with a bias that may be missing."""

    weight: Array
    bias: Any = None


@struct
class Relu:
    """A layer without parameters."""


@struct
class Sequential:
    """A network."""

    layers: tuple[Any, ...]
    name: str = static(default="net")


def network(dtype=np.float64, seed=0):
    """Structs and a dict, with a missing bias, a layer without parameters and a leaf without dimensions."""
    random = np.random.RandomState(seed)

    def draw(*shape):
        return random.standard_normal(shape).astype(dtype)

    return Sequential((Dense(draw(4, 3), draw(3)), Relu(), Dense(draw(3, 2)), {"bias": draw(), "weight": draw(1)}))


def containers(dtype=np.float64, seed=0):
    """Parameters in plain containers."""
    random = np.random.RandomState(seed)
    arrays = [random.standard_normal(shape).astype(dtype) for shape in [(2, 5), (5,), (5, 1)]]
    for array in arrays:
        array.setflags(write=False)
    return {"weight": [arrays[0], None, (arrays[2],)], "bias": arrays[1], "empty": ()}
