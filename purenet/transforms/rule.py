"""What a derivative rule says: the kinds of rules, and the small formulas that many rules share.

A rule is data. It states the derivative of one function as linear maps between a change of an argument and the change
of the result; `tracer` interprets it, forwards or backwards. The tables of rules are in `rules/`, a file per family.

Every formula is written in NumPy calls that allocate their results, so that it can itself be differentiated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from purenet.arithmetic.native import primitive
from purenet.errors import DifferentiationError

LinearMap: TypeAlias = Callable[[Any], Any]
"""From a tangent or cotangent to another."""

Formula: TypeAlias = Callable[..., LinearMap]
"""`formula(out, *args, **kwargs)`: the linear map at the point where `out = function(*args, **kwargs)`.

It captures only what the map needs, for that is what a trace keeps in memory.
"""


class Rule:
    """The base of the kinds of rules."""

    __slots__ = ()


class Elementwise(Rule):
    """A function of broadcast arguments, each element of the result depending on one element of each argument.

    Args:
        partials: for each argument the formula of `t -> t * d(out)/d(arg)`, or None where the derivative is zero. Such
            a map is its own transpose, so the one formula serves both directions; the tracer undoes broadcasting.
    """

    __slots__ = ("partials",)

    def __init__(self, *partials: Formula | None) -> None:
        self.partials = partials


class Primitive(Rule):
    """A function with a formula for the cotangent of each argument.

    Args:
        reverse: for each positional argument the formula of its cotangent from the result's, or None where the
            derivative is zero.
        forward: for each argument the formula of the result's tangent from the argument's. None leaves it to the
            tracer, which transposes the map of the cotangents.
        variadic: whether any number of arguments shares the last formula, which takes `position` first then.
        by_keyword: an equal expression, as a `Composite` has it, for calls with a traced value as a keyword argument.
            None passes such arguments by position.
    """

    __slots__ = ("by_keyword", "forward", "reverse", "variadic")

    def __init__(
        self,
        *reverse: Formula | None,
        forward: tuple[Formula | None, ...] | None = None,
        variadic: bool = False,
        by_keyword: Callable[..., Any] | None = None,
    ) -> None:
        self.reverse = reverse
        self.forward = forward
        self.variadic = variadic
        self.by_keyword = by_keyword

    def pull(self, position: int, out: Any, args: Any, kwargs: dict[str, Any]) -> LinearMap | None:
        """The map from the result's cotangent to that of the argument at `position`; None if it is zero."""
        if self.variadic:
            formula = self.reverse[min(position, len(self.reverse) - 1)]
            return None if formula is None else formula(position, out, *args, **kwargs)
        if position >= len(self.reverse):
            raise DifferentiationError(
                f"argument {position} has no derivative when it is given by position; pass it by name"
            )
        formula = self.reverse[position]
        return None if formula is None else formula(out, *args, **kwargs)


class Linear(Primitive):
    """A function that is linear in each of its differentiable arguments, in all together if it is variadic.

    Forwards it is its own derivative.
    """

    __slots__ = ()

    def push_together(self, tangents: dict[int, Any], function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """The tangent of the result of a variadic function, from the tangents of the arguments at positions."""
        first = len(self.reverse) - 1
        varied = [tangents[p] if p in tangents else np.zeros_like(args[p]) for p in range(first, len(args))]
        return function(*args[:first], *varied, **kwargs)


class Composite(Rule):
    """A function that is differentiated by carrying out an equal expression in functions that have rules.

    Args:
        definition: takes the arguments of the function.
    """

    __slots__ = ("definition",)

    def __init__(self, definition: Callable[..., Any]) -> None:
        self.definition = definition


class ZeroDerivative(Rule):
    """A function that is piecewise constant: it is carried out on the plain values."""

    __slots__ = ()


def present(module: Any, **rules: Rule) -> dict[Any, Rule]:
    """The rules of those functions, given by name, that this version of NumPy has."""
    return {getattr(module, name): rule for name, rule in rules.items() if hasattr(module, name)}


@primitive
def constant(x: Any) -> Any:
    """The plain value of `x`: what the formulas of rules treat as constant."""
    return x


def identity(t: Any) -> Any:
    """The linear map of addition."""
    return t


def negate(t: Any) -> Any:
    """The linear map of subtraction."""
    return -t


def unbroadcast(cotangent: Any, shape: tuple[int, ...]) -> Any:
    """Sum a cotangent over the axes along which an argument of `shape` was broadcast."""
    if cotangent.shape == shape:
        return cotangent
    if not shape:
        return np.add.reduce(cotangent, axis=None)
    extra = cotangent.ndim - len(shape)
    if cotangent.shape[extra:] == shape:
        return np.add.reduce(cotangent, axis=0 if extra == 1 else tuple(range(extra)))
    stretched = (i + extra for i, n in enumerate(shape) if n == 1 and cotangent.shape[i + extra] != 1)
    return np.reshape(np.add.reduce(cotangent, axis=(*range(extra), *stretched)), shape)


def broadcast(x: Any, shape: tuple[int, ...]) -> Any:
    """`np.broadcast_to`, ten times faster for a plain scalar."""
    if not x.shape and isinstance(x, np.ndarray | np.generic):
        scalar: Any = x
        return np.ndarray(shape, x.dtype, scalar[()], 0, (0,) * len(shape))  # the memory of a scalar is read-only
    return np.broadcast_to(x, shape)


def restore_axes(reduced: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """Make the result of a reduction over `axis` of an array of `shape` broadcast against that array."""
    if keepdims or axis is None:
        return reduced
    axes = reduced_axes(len(shape), axis)
    if not axes or max(axes) < len(axes):  # the leading axes are those that broadcasting adds
        return reduced
    return np.reshape(reduced, tuple([1 if i in axes else n for i, n in enumerate(shape)]))


def reduced_axes(ndim: int, axis: Any) -> tuple[int, ...]:
    """The axes over which a reduction goes, as non-negative numbers."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(int(a) % ndim for a in (axis if isinstance(axis, tuple | list) else (axis,))) if ndim else ()
