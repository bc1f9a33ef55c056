"""Reverse-mode transformations: `vjp`, `grad`, `value_and_grad`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from purenet import tree
from purenet.errors import ArgumentError, DtypeError, ShapeError
from purenet.records import frozen, own
from purenet.transforms.linearise import along, check_differentiable, check_form, described, force, linearise, unwrap
from purenet.transforms.tracer import innermost, plain, zeros


def vjp(
    f: Callable[..., Any], *primals: Any, has_aux: bool = False
) -> tuple[Any, Callable[[Any], tuple[Any, ...]]] | tuple[Any, Callable[[Any], tuple[Any, ...]], Any]:
    """The value of a function, and its pullback: the vector-Jacobian product, ready for any cotangent.

    `value, pullback = vjp(f, *primals)`; then `pullback(cotangent)[i]` is `cotangent` times the Jacobian of `f` with
    respect to `primals[i]`.

    Args:
        f: any function of trees of arrays, written in NumPy and purenet functions.
        primals: its arguments; every leaf is a floating-point array or number.
        has_aux: whether `f` returns a pair, whose second half is passed through without a derivative as a third result.

    Returns:
        `value`, as `f` returns it, and `pullback(cotangent)`: a tuple with one cotangent for each argument, each with
        the structure, shapes and dtypes of its argument. `cotangent` has the structure and shapes of `value`.

    Raises:
        MissingRuleError: if `f` calls a NumPy function that has no derivative rule.
        DtypeError: if a leaf of the primals is not floating-point.

    Example:
        >>> value, pullback = vjp(lambda x, y: x * np.sin(y), np.array([1.0, 2.0]), np.array([0.0, 0.0]))
        >>> pullback(np.array([1.0, 1.0]))
        (array([0., 0.]), array([1., 2.]))
    """
    wanted = (True,) * len(primals)
    for position, primal in enumerate(primals):
        check_differentiable(primal, f"argument {position}")
    function, read_aux = _split_aux(f, wanted) if has_aux else (f, None)
    value, pull = linearise(function, primals, {}, wanted)

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        check_form("cotangent", cotangent, value, "cotangent")
        seed = tree.map(lambda ct, v: _as_seed(ct, v), cotangent, value)
        pulled = pull(seed)[: len(primals)]  # a rule also returns cotangents of arguments left to their defaults
        return tuple(complete(force(ct), primal) for ct, primal in zip(pulled, primals, strict=True))

    return (value, pullback) if read_aux is None else (value, pullback, read_aux())


def value_and_grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """A function that returns the value of a scalar function together with its gradient.

    `value_and_grad(f)(x, ...)` is `(f(x, ...), df/dx)`.

    Args:
        f: a function of trees of arrays that returns a scalar, or `(scalar, aux)` if `has_aux`.
        argnums: the position of the argument to differentiate with respect to; several positions give a tuple of
            gradients. All other arguments, and all keyword arguments, are constants of any type.
        has_aux: whether `f` returns a pair, whose second half is passed through without a derivative.

    Returns:
        A function of the arguments of `f` that returns `(value, gradient)`, or `((value, aux), gradient)`. A gradient
        has the structure, shapes and dtypes of its argument.

    Raises:
        ShapeError: when called, if `f` does not return a scalar.
        DtypeError: when called, if a leaf to differentiate with respect to is not floating-point.
        MissingRuleError: when called, if `f` calls a NumPy function that has no derivative rule.

    Example:
        >>> value_and_grad(lambda w, x: np.sum(w * x ** 2))(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
        (np.float64(41.0), array([ 9., 16.]))
    """

    @wraps(f, assigned=("__name__", "__doc__"), updated=())
    def differentiated(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        chosen = resolve(argnums, args)
        wanted = [i in chosen for i in range(len(args))]
        function, read_aux = _split_aux(f, wanted) if has_aux else (f, None)
        value, pull = linearise(function, args, kwargs, wanted)
        cotangents = pull(one(value))
        grads = tuple(complete(force(cotangents[i]), args[i]) for i in chosen)
        head = value if read_aux is None else (value, read_aux())
        return head, grads[0] if isinstance(argnums, int) else grads

    return differentiated


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of a scalar function.

    `grad(f)(x, ...)` is `df/dx`; see `value_and_grad`, whose second result it is.

    Args:
        f: a function of trees of arrays that returns a scalar, or `(scalar, aux)` if `has_aux`.
        argnums: the position, or positions, of the arguments to differentiate with respect to.
        has_aux: whether `f` returns a pair, whose second half is passed through without a derivative.

    Returns:
        A function of the arguments of `f` that returns the gradient, or `(gradient, aux)`.

    Raises:
        ShapeError, DtypeError, MissingRuleError: as `value_and_grad`.

    Example:
        >>> cube = lambda x: x ** 3
        >>> grad(cube)(2.0), grad(grad(cube))(2.0)
        (np.float64(12.0), np.float64(12.0))
    """
    both = value_and_grad(f, argnums, has_aux)

    @wraps(f, assigned=("__name__", "__doc__"), updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        head, grads = both(*args, **kwargs)
        return (grads, head[1]) if has_aux else grads

    return gradient


def _split_aux(f: Callable[..., Any], wanted: Sequence[bool]) -> tuple[Callable[..., Any], Callable[[], Any]]:
    """`f` without the second half of its result, and a function that returns that half once `f` has run.

    The trace that differentiates `f` ends with `f`, so what it returns on the side loses that trace, and keeps those of
    transformations around it.
    """
    kept: list[Any] = []

    def function(*args: Any, **kwargs: Any) -> Any:
        trace = innermost(tree.leaves([arg for arg, is_wanted in zip(args, wanted, strict=True) if is_wanted]))
        value, aux = split_pair(f(*args, **kwargs))
        kept.append(tree.map(lambda leaf: unwrap(leaf, trace), aux))
        return value

    return function, lambda: kept[-1]


def split_pair(result: Any) -> tuple[Any, Any]:
    """The two halves of what a function with `has_aux=True` returned."""
    if not (isinstance(result, tuple) and len(result) == 2):
        raise ArgumentError(
            f"has_aux=True expects the function to return (value, aux), got {type(result).__name__}", path="has_aux"
        )
    value, aux = result
    return value, aux


def resolve(argnums: int | Sequence[int], args: Sequence[Any]) -> tuple[int, ...]:
    """The positions of the arguments to differentiate with respect to, counted from the front, if they can be."""
    chosen = []
    for position in (argnums,) if isinstance(argnums, int) else argnums:
        if not -len(args) <= position < len(args):
            raise ArgumentError(f"there is no argument {position} in a call with {len(args)} arguments", path="argnums")
        chosen.append(position % len(args))
        check_differentiable(args[chosen[-1]], f"argument {chosen[-1]}")
    return tuple(chosen)


def one(value: Any) -> Any:
    """The cotangent 1 of a scalar."""
    if isinstance(value, np.floating):
        return type(value)(1)
    if not tree.is_leaf(value) or np.shape(value) != ():
        raise ShapeError(
            f"expected the function to return a scalar to take the gradient of, got {described(value)}; "
            "reduce it with np.sum or np.mean, or use pn.vjp or pn.jacobian"
        )
    if isinstance(value, float):
        return np.float64(1)
    if getattr(value, "dtype", np.dtype(object)).kind != "f":
        raise DtypeError(f"expected the function to return a floating-point scalar, got {described(value)}")
    return along(value.dtype.type(1), value)


def _as_seed(cotangent: Any, value: Any) -> Any:
    if hasattr(cotangent, "__purenet_apply__"):
        return cotangent
    value = plain(value)
    return own(np.asarray(cotangent, dtype=getattr(value, "dtype", np.float64)))[()]


def complete(cotangent: Any, primal: Any) -> Any:
    """A cotangent with the structure of its argument, its arrays read-only; None is zero."""
    if cotangent is None:
        return tree.map_fresh(zeros, primal)
    for leaf in tree.leaves(cotangent):
        frozen(leaf)
    return cotangent
