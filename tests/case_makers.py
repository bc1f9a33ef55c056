"""What a row of the table of derivative rules is: a call, and how to make its arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Maker = Callable[[np.random.RandomState], Any]


@dataclass(frozen=True)
class Case:
    """A function of arrays, and the makers of its arguments in float64."""

    label: str
    function: Callable[..., Any]
    makers: tuple[Maker, ...]
    alone: bool = True
    """Whether each argument may be the only one that is traced; NumPy does not look at every argument of a call."""

    def arguments(self, dtype: Any = np.float64) -> list[Any]:
        """The arguments, always the same."""
        random = np.random.RandomState(sum(map(ord, self.label)) + 7)
        return [make(random).astype(dtype)[()] for make in self.makers]


# Makers.


def real(*shape: int) -> Maker:
    """Standard normal numbers."""
    return lambda random: random.standard_normal(shape)


def inside(*shape: int) -> Maker:
    """Numbers from -0.8 to 0.8."""
    return lambda random: random.uniform(-0.8, 0.8, shape)


def positive(*shape: int) -> Maker:
    """Numbers from 0.6 to 2."""
    return lambda random: random.uniform(0.6, 2, shape)


def above_one(*shape: int) -> Maker:
    """Numbers from 1.3 to 2.5."""
    return lambda random: random.uniform(1.3, 2.5, shape)


def dividend(*shape: int) -> Maker:
    """Numbers from 2.2 to 2.4, which no `divisor` divides."""
    return lambda random: random.uniform(2.2, 2.4, shape)


def divisor(*shape: int) -> Maker:
    """Numbers from 0.85 to 1."""
    return lambda random: random.uniform(0.85, 1, shape)


def distinct(*shape: int) -> Maker:
    """Numbers that keep a distance of 0.1 from each other and from 0, in a random order and with random signs."""

    def make(random: np.random.RandomState) -> Any:
        size = int(np.prod(shape))
        magnitudes = (random.permutation(size) + 1 + random.uniform(0, 0.3, size)) * 0.15 + 0.1
        return (magnitudes * random.choice([-1, 1], size)).reshape(shape)

    return make


def increasing(*shape: int) -> Maker:
    """Numbers that increase along the last axis."""
    return lambda random: np.cumsum(random.uniform(0.4, 1, shape), axis=-1)


def matrix(*shape: int) -> Maker:
    """Matrices with well separated singular values between 1 and 3."""

    def make(random: np.random.RandomState) -> Any:
        u, _, vh = np.linalg.svd(random.standard_normal(shape), full_matrices=False)
        return u * np.linspace(1, 3, u.shape[-1]) @ vh

    return make


def definite(*shape: int) -> Maker:
    """Symmetric matrices with well separated positive eigenvalues."""

    def make(random: np.random.RandomState) -> Any:
        v = np.linalg.qr(random.standard_normal(shape))[0]
        return v * np.linspace(1, 3, shape[-1]) @ np.swapaxes(v, -1, -2)

    return make


def scalar(value: float) -> Maker:
    """This very number."""
    return lambda random: np.array(value)


def exactly(*values: Any) -> Maker:
    """These very numbers."""
    return lambda random: np.array(values, dtype=np.float64)


def newer(module: Any, prefix: str, rows: dict[str, tuple[Callable[[Any], Any], tuple[Maker, ...]]]) -> list[Case]:
    """The rows of functions that this version of NumPy has; a label begins with the name of the function."""
    found = [(name.split()[0], name, bind, makers) for name, (bind, makers) in rows.items()]
    return [
        Case(f"{prefix}.{label}", bind(getattr(module, name)), makers)
        for name, label, bind, makers in found
        if hasattr(module, name)
    ]
