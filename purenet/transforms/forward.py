"""Derivatives along directions and as whole arrays: `jvp`, `jacobian`, `hessian`, and `hvp`.

Forward mode carries the derivative of a function along a direction beside its value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial, wraps
from typing import Any, Literal

import numpy as np

from purenet import tree
from purenet.errors import ArgumentError, DtypeError, StructureError, join_paths
from purenet.records import frozen, own
from purenet.transforms.linearise import (
    along,
    check_differentiable,
    check_form,
    described,
    finish,
    force,
    is_differentiable,
    lift,
    linearise,
    unwrap,
)
from purenet.transforms.reverse import complete, grad, resolve, split_pair
from purenet.transforms.tracer import Pushforward, Traced, is_of, zeros

Mode = Literal["reverse", "forward"]


def jvp(
    f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> tuple[Any, Any] | tuple[Any, Any, Any]:
    """The value of a function and its derivative along a direction: the Jacobian-vector product.

    `jvp(f, (x, y), (dx, dy))` is `(f(x, y), df/dx * dx + df/dy * dy)`, in one pass and without a record of it.

    Args:
        f: any function of trees of arrays, written in NumPy and purenet functions.
        primals: a tuple of its arguments.
        tangents: a tuple with the direction of each argument: a tree with its structure, shapes and dtypes. None in
            place of a whole direction makes that argument a constant, which may be of any type.
        has_aux: whether `f` returns a pair, whose second half is passed through without a derivative as a third result.

    Returns:
        `value`, as `f` returns it, and `tangent`, a tree with the structure, shapes and dtypes of `value`; it is zero
        where `value` does not depend on the arguments or is not floating-point.

    Raises:
        StructureError, ShapeError, DtypeError: if a tangent has not the form of its argument, naming the path.
        DtypeError, MissingRuleError: as `grad`.

    Example:
        >>> jvp(lambda x, y: x * np.sin(y), (np.array([1.0, 2.0]), 0.0), (np.array([1.0, 0.0]), 1.0))
        (array([0., 0.]), array([1., 2.]))
    """
    _check_arguments(primals, tangents)
    prepared = [_directions(*both) for both in enumerate(zip(primals, tangents, strict=True))]
    if not has_aux:
        return push(f, primals, prepared)[:2]
    return push(f, primals, prepared, split_pair)


def push(
    f: Callable[..., Any],
    args: Sequence[Any],
    directions: Sequence[Sequence[Any] | None],
    split: Callable[[Any], tuple[Any, Any]] = lambda result: (result, None),
) -> tuple[Any, Any, Any]:
    """`jvp` without checks: (value, tangent, aux), where `split` makes the result of `f` a pair of value and aux.

    `directions` has for each argument None if it is a constant, else one tangent for each leaf; that of a leaf which is
    not floating-point is not looked at.
    """
    trace = Pushforward()
    try:
        value, aux = split(f(*[_lifted(trace, arg, along) for arg, along in zip(args, directions, strict=True)]))
    finally:
        trace.close()
    outs, unflatten = tree.flatten(value)
    tangents = [finish(out.mark, out.value) if is_of(out, trace) else zeros(out) for out in outs]
    plain_value = unflatten([unwrap(out, trace) for out in outs])
    return plain_value, unflatten(tangents), tree.map(lambda leaf: unwrap(leaf, trace), aux)


def _lifted(trace: Pushforward, arg: Any, directions: Sequence[Any] | None) -> Any:
    if directions is None:
        return arg
    leaves, unflatten = tree.flatten(arg)
    return unflatten(
        [
            Traced(lift(leaf), trace, along(tangent, leaf)) if is_differentiable(leaf) else leaf
            for leaf, tangent in zip(leaves, directions, strict=True)
        ]
    )


def _check_arguments(primals: Any, tangents: Any) -> None:
    for name, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, tuple | list):
            problem = f"expected a tuple with one entry for each argument, got {type(given).__name__}"
            raise DtypeError(f"{problem}; write (x,) for a single one", path=name)
    if len(primals) != len(tangents):
        problem = f"expected {len(primals)} tangents, one for each argument, got {len(tangents)}"
        raise ArgumentError(problem, path="tangents")


def _directions(position: int, both: tuple[Any, Any]) -> list[Any] | None:
    """The leaves of a tangent, checked against the argument that it belongs to; None for a constant."""
    primal, tangent = both
    if tangent is None:
        return None
    check_differentiable(primal, f"argument {position}")
    place = f"tangent {position}"
    found = tree.difference(primal, tangent)
    if found is not None:
        path, expected, got = found
        raise StructureError(f"expected {expected}, like the argument, got {got}", path=join_paths(place, path))
    check_form("tangent", tangent, primal, place)
    pairs = zip(tree.items(primal), tree.leaves(tangent), strict=True)
    return [_direction(leaf, ct, join_paths(place, path)) for (path, leaf), ct in pairs]


def _direction(leaf: Any, tangent: Any, path: str) -> Any:
    leaf = lift(leaf)
    if isinstance(tangent, int | float) and not isinstance(tangent, np.generic):
        tangent = leaf.dtype.type(tangent)
    dtype = getattr(tangent, "dtype", None)
    if dtype is None or dtype.newbyteorder("=") != leaf.dtype.newbyteorder("="):
        problem = f"expected a tangent of {leaf.dtype}, like the argument, got {dtype or type(tangent).__name__}"
        raise DtypeError(f"{problem}; convert it with np.asarray(..., dtype=np.{leaf.dtype})", path=path)
    return own(tangent)


def jacobian(f: Callable[..., Any], argnums: int | Sequence[int] = 0, mode: Mode = "reverse") -> Callable[..., Any]:
    """A function that returns the derivative of every element of a result with respect to every element of an argument.

    `jacobian(f)(x)[i..., j...]` is `d f(x)[i...] / d x[j...]`.

    Args:
        f: a function of trees of arrays that returns an array or a tree of arrays.
        argnums: the position of the argument to differentiate with respect to; several positions give a tuple. All
            other arguments, and all keyword arguments, are constants of any type.
        mode: "reverse" runs `f` once and pulls back once for each element of the result; "forward" runs `f` once for
            each element of the argument. Take the one of which there are fewer.

    Returns:
        A function of the arguments of `f` that returns a tree like the result of `f`, which has in place of each leaf a
        tree like the argument, with leaves of shape `result.shape + argument.shape`: for an array to an array function
        simply an array. It has the dtype of the argument in reverse mode, that of the result in forward mode.

    Raises:
        ArgumentError: if there is no such mode.
        ArgumentError, DtypeError, MissingRuleError: when called, as `grad`; also if the result is not floating-point.

    Example:
        >>> jacobian(lambda x: x[0] * np.array([1.0, 10.0]) + x[1] ** 2)(np.array([2.0, 3.0]))
        array([[ 1.,  6.],
               [10.,  6.]])
    """
    if mode not in _MODES:
        raise ArgumentError(f'expected "reverse" or "forward", got {mode!r}', path="mode")

    @wraps(f, assigned=("__name__", "__doc__"), updated=())
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        chosen = resolve(argnums, args)
        value, parts = _MODES[mode](f, args, kwargs, chosen)

        def block(i: int, out: Any, position: int, j: int, like: Any) -> Any:
            shape = np.shape(out) + np.shape(like)
            found = parts.get((i, position, j))
            if not found:
                return frozen(np.zeros(shape, lift(like if mode == "reverse" else out).dtype))
            stacked = np.reshape(np.stack(found, axis=0 if mode == "reverse" else -1), shape)
            if hasattr(stacked, "__purenet_apply__"):
                return stacked
            return frozen(np.ascontiguousarray(stacked)) if shape else stacked[()]

        def row(i: int, out: Any) -> Any:
            trees = [
                tree.with_leaves(args[p], [block(i, out, p, j, like) for j, like in enumerate(tree.leaves(args[p]))])
                for p in chosen
            ]
            return trees[0] if isinstance(argnums, int) else tuple(trees)

        return tree.with_leaves(value, [row(i, out) for i, out in enumerate(tree.leaves(value))])

    return differentiated


def hessian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns all second derivatives of a scalar function.

    `hessian(f)(x)[i..., j...]` is `d^2 f(x) / d x[i...] d x[j...]`: the Jacobian of the gradient.

    Args:
        f: a function of trees of arrays that returns a scalar; a function that returns an array or a tree gets one
            Hessian for each element.
        argnums: the position, or positions, of the arguments to differentiate with respect to.

    Returns:
        A function of the arguments of `f` that returns a tree like the argument, which has in place of each leaf a tree
        like the argument, with leaves of shape `leaf.shape + other.shape`: for a function of one array simply an array
        of shape `x.shape + x.shape`. Several `argnums` give a tuple of tuples.

    Raises:
        ArgumentError, DtypeError, MissingRuleError: as `grad`.

    Example:
        >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([3.0, 5.0]))
        array([[10.,  6.],
               [ 6.,  0.]])
    """
    return jacobian(jacobian(f, argnums), argnums)


def hvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The Hessian of a scalar function times a vector, at the cost of a few gradients and without the Hessian.

    `hvp(f, primals, tangents)` is the derivative of `grad(f)`, the gradient with respect to argument 0, along the
    tangents of all arguments: `jvp(grad(f), primals, tangents)[1]`. With one argument that is `hessian(f)(x) @ v`.

    Args:
        f: a function of trees of arrays that returns a scalar.
        primals: a tuple of its arguments.
        tangents: a tuple with the direction of each argument, in its form; None makes that argument a constant, so that
            `hvp(loss, (net, batch), (direction, None))` is the usual call.

    Returns:
        A tree with the structure, shapes and dtypes of `primals[0]`.

    Raises:
        ShapeError, StructureError, DtypeError, MissingRuleError: as `grad` and `jvp`.

    Example:
        >>> hvp(lambda x: x[0] ** 2 * x[1], (np.array([3.0, 5.0]),), (np.array([1.0, 0.0]),))
        array([10.,  6.])
    """
    return jvp(grad(f), primals, tangents)[1]


# Each mode returns the value of the function and, for leaf i of the value and leaf j of the argument at a position, the
# derivatives of the one with respect to the other: a row for each element of the one, or a column for each of the
# other.


def _by_rows(f: Any, args: Any, kwargs: Any, chosen: tuple[int, ...]) -> tuple[Any, dict[Any, list[Any]]]:
    """Reverse mode: a pullback for each element of the result."""
    value, pull = linearise(f, args, kwargs, [i in chosen for i in range(len(args))])
    _check_result(value)
    parts: dict[Any, list[Any]] = {}
    for i, unit in _units(tree.leaves(value)):
        cotangents = pull(tree.with_leaves(value, unit))
        for position in chosen:
            for j, row in enumerate(tree.leaves(complete(force(cotangents[position]), args[position]))):
                parts.setdefault((i, position, j), []).append(row)
    return value, parts


def _by_columns(f: Any, args: Any, kwargs: Any, chosen: tuple[int, ...]) -> tuple[Any, dict[Any, list[Any]]]:
    """Forward mode: a run along each element of an argument."""

    function = partial(f, **kwargs)
    value: Any = None
    parts: dict[Any, list[Any]] = {}
    for position in chosen:
        for j, unit in _units(tree.leaves(args[position])):
            along = [unit if i == position else None for i in range(len(args))]
            value, tangent, _ = push(function, args, along)
            for i, column in enumerate(tree.leaves(tangent)):
                parts.setdefault((i, position, j), []).append(column)
    value = value if parts else function(*args)
    _check_result(value)
    return value, parts


_MODES: dict[str, Any] = {"reverse": _by_rows, "forward": _by_columns}


def _check_result(value: Any) -> None:
    for path, leaf in tree.items(value):
        if not is_differentiable(leaf):
            problem = f"expected the function to return floating-point numbers, got {described(leaf)}"
            raise DtypeError(problem, path=path)


def _units(likes: list[Any]) -> Iterator[tuple[int, list[Any]]]:
    """For each element of some arrays, in C order, the index of its array, and zeros like all but for a 1 there."""
    nothing = [zeros(like) for like in likes]
    for which, like in enumerate(nothing):
        for element in range(like.size):
            unit = np.zeros(like.size, like.dtype)
            unit[element] = 1
            yield which, [*nothing[:which], frozen(unit.reshape(like.shape))[()], *nothing[which + 1 :]]
