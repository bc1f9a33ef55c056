"""How arguments are taken: dtypes as NumPy 2 has them, also on NumPy 1, and no writing into arrays.

A Python number has no say in the dtype of a result; an array without dimensions has as any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from purenet.errors import ArgumentError, DtypeError

LEGACY = np.lib.NumpyVersion(np.__version__) < "2.0.0"
"""Whether this NumPy looks at the values of scalars to choose a dtype: float32 meets a Python number as float64."""

FLOAT64 = np.dtype(np.float64)


def common_dtype(arguments: tuple[Any, ...]) -> np.dtype[Any]:
    """The dtype that arguments are brought to before a ufunc is carried out on them."""
    strong: list[np.dtype[Any]] = []
    weak: type = bool
    for argument in arguments:
        kind = type(argument)
        if kind is float:
            weak = float
        elif kind is int:
            weak = int if weak is bool else weak
        else:
            strong.append(argument.dtype if hasattr(argument, "dtype") else np.asarray(argument).dtype)
    if not strong:
        return np.dtype(weak)
    dtype = np.result_type(*strong)
    if weak is float and dtype.kind in "biu":
        return FLOAT64
    if weak is int and dtype.kind == "b":
        return np.dtype(np.int64)
    return dtype


def float_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which a function of real numbers gives its result: small integers count as small floats."""
    if dtype.kind == "f" and dtype.itemsize <= 8:
        return dtype.newbyteorder("=")
    if dtype.kind in "biu":
        return np.dtype({1: np.float16, 2: np.float32}.get(dtype.itemsize, np.float64))
    raise DtypeError(f"expected real numbers of at most 64 bits, got {dtype}; use .astype(np.float64)")


def agreeing(function: Callable[..., Any]) -> Callable[..., Any]:
    """A ufunc that brings its arguments to one dtype as NumPy 2 does: the ufunc itself on NumPy 2."""
    if not LEGACY:
        return function

    def call(*arguments: Any, **options: Any) -> Any:
        if len(arguments) == 1:
            return function(*arguments, **options)
        dtype = common_dtype(arguments)
        return function(*[np.asarray(argument).astype(dtype, copy=False) for argument in arguments], **options)

    return call


def refuse(name: str, **options: Any) -> None:
    """Raise if an option is given that portable arithmetic does not take."""
    for option, value in options.items():
        if value is not None and value is not np._NoValue:
            raise ArgumentError(f"portable arithmetic does not take {option}=; leave it away", path=f"np.{name}")
