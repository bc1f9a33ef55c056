"""Functions of the field that NumPy lacks, on plain arrays; transformations see them as they see NumPy's own.

NumPy lets an argument take over a call through `__array_ufunc__` and `__array_function__`; `primitive` gives the same
to a function of ours. All here keep the dtype of a floating argument and are stable for arguments of any size.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from purenet.arithmetic import special

F = TypeVar("F", bound=Callable[..., Any])


def primitive(function: F) -> F:
    """Let the arguments of `function` take over its calls: `type(arg).__purenet_apply__(function, args, kwargs)`.

    Example:
        >>> @primitive
        ... def double(x):
        ...     return 2 * x
        >>> class Loud:
        ...     @staticmethod
        ...     def __purenet_apply__(function, args, kwargs):
        ...         return f"{function.__name__} was called"
        >>> double(4), double(Loud())
        (8, 'double was called')
    """

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for arg in args:
            apply = None if arg.__class__ is np.ndarray else getattr(type(arg), "__purenet_apply__", None)
            if apply is not None:
                return apply(call, args, kwargs)
        return function(*args, **kwargs)

    return cast(F, call)


def rectified(x: Any) -> Any:
    """`max(x, 0)` of a plain array or number."""
    if x.__class__ is not np.ndarray or not x.shape or x.dtype.kind != "f":
        return np.maximum(x, 0)
    zeros = np.zeros(x.shape, x.dtype)  # against an array NumPy compares twice as fast as against a number
    return np.maximum(x, zeros, out=zeros)


@primitive
def relu(x: Any) -> Any:
    """`max(x, 0)`, with derivative 0 at 0."""
    return rectified(x)


@primitive
def sigmoid(x: Any) -> Any:
    """`1 / (1 + exp(-x))`, from `exp(-|x|)`, which never overflows."""
    tail = np.exp(-np.abs(x))
    return np.where(np.asarray(x) >= 0, 1, tail) / (1 + tail)


@primitive
def softplus(x: Any) -> Any:
    """`log(1 + exp(x))`, as `max(x, 0) + log1p(exp(-|x|))`."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@primitive
def erf(x: Any) -> Any:
    """The error function, `2/sqrt(pi)` times the integral of `exp(-t*t)` from 0 to `x`."""
    return special.erf(x)


@primitive
def log_sum_exp(x: Any) -> Any:
    """`log(sum(exp(x)))` over the last axis, which is kept with length 1."""
    top = np.max(x, axis=-1, keepdims=True)
    return top + np.log(np.sum(np.exp(x - top), axis=-1, keepdims=True))


@primitive
def softmax(x: Any) -> Any:
    """`exp(x) / sum(exp(x))` over the last axis."""
    powers = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return powers / np.sum(powers, axis=-1, keepdims=True)
