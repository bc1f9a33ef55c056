"""`check_grads`: derivatives against finite differences.

Everything is compared along one *direction*, a change of a single leaf of the arguments, and for one *weighting* of the
elements of the result. A small leaf is checked element by element, a large one along some random directions. A
derivative of higher order is checked as that of the derivative of lower order.

Finite differences are central, for steps t, t/5, t/25 ..., and have errors of t^2, t^4, ...; each column of the table

    D[k][0] = (f(t_k) - f(-t_k)) / (2 t_k),    D[k][j] = D[k][j-1] + (D[k][j-1] - D[k-1][j-1]) / (25^j - 1)

removes one of them. The error of an entry is how far it is from the two that it was made of, and the rounding of `f`
over the step; the entry with the smallest error counts, for every element of the result on its own.

Source: C. J. F. Ridders, Accurate computation of F'(x) and F'(x) F''(x), Advances in Engineering Software 4 (1982).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from purenet import tree
from purenet.errors import ArgumentError, DtypeError, GradientError, TreeError, join_paths
from purenet.random import fold_in, key, normal
from purenet.transforms.forward import push
from purenet.transforms.linearise import check_form, force, is_differentiable, lift, linearise
from purenet.transforms.reverse import complete

Vector = np.ndarray[Any, np.dtype[np.float64]]

MODES = ("reverse", "forward")

_SMALL = 16  # elements up to which each is checked on its own; a quarter of it for each higher order
_DIRECTIONS = 2  # random directions in which a larger leaf is checked

_RATIO = 5.0
_LEVELS = 20  # down to a step of 5e-14 times the largest
_ENOUGH = 1e-9  # relative error that needs no smaller step
_OUTSIDE = (ArithmeticError, ValueError, np.linalg.LinAlgError)  # what a function raises where it is not defined


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    *,
    order: int = 1,
    modes: Sequence[str] = MODES,
    tolerance: float | None = None,
    step: float | None = None,
) -> None:
    """Check that the derivatives of a function agree with its finite differences, and raise if they do not.

    It also checks that differentiating leaves the value as it is, and that a gradient has the structure, shapes and
    dtypes of its argument. A hand-derived pullback (`custom_vjp`, layers, losses) is checked too.

    The finite differences are taken in float64, for shrinking steps. So arguments and results may be of any size, and
    points where `f` is not differentiable do no harm as long as `args` is not one of them. What lies within the error
    of the finite difference passes. Every call takes the same pseudo-random directions.

    Args:
        f: a function of trees of arrays that returns an array or a tree of arrays.
        args: a tuple of its arguments. Leaves that are not floating-point are constants.
        order: 1 for first derivatives, 2 for second derivatives as well, and so on.
        modes: which of "reverse" and "forward" to check. Derivatives of higher order are checked in every mixture.
        tolerance: the relative error that is allowed beyond that of the finite difference itself; if not given, 1e-6,
            and 2e-4 where there is a float32 array among the arguments or results.
        step: the largest change of an element that is tried, relative to its size; 0.25 if not given. Give a
            smaller one if `f` varies on a scale a million times below the size of its arguments.

    Raises:
        GradientError: if a derivative is wrong. It names the leaf of the arguments and the element, the order and the
            mode, both numbers and their relative error.
        ArgumentError, DtypeError: if an option is out of range, or no leaf of the arguments is floating-point.

    Example:
        >>> import purenet as pn
        >>> check_grads(lambda x: np.sin(x) * x, (np.array([0.5, 2.0]),), order=2)
        >>> wrong = pn.custom_vjp(np.sin, lambda x: (np.sin(x), lambda g: (1.001 * g * np.cos(x),)))
        >>> check_grads(wrong, (np.array([0.5, 2.0]),))
        Traceback (most recent call last):
            ...
        purenet.errors.GradientError: args[0][0]: the derivative of result[0] with respect to it is 0.87846014..., in
        reverse mode, and 0.87758256... by finite differences: ...
    """
    if not isinstance(args, tuple | list):
        raise DtypeError(f"expected a tuple of arguments, got {type(args).__name__}; write (x,) for one", path="args")
    if not isinstance(order, int) or order < 1:
        raise ArgumentError(f"expected an integer of at least 1, got {order!r}", path="order")
    if isinstance(modes, str) or not modes or set(modes) - set(MODES):
        raise ArgumentError(f'expected some of "reverse" and "forward" in a tuple, got {modes!r}', path="modes")
    for name, number in (("tolerance", tolerance), ("step", step)):
        if number is not None and not 0 < number < math.inf:
            raise ArgumentError(f"expected a number above 0, got {number!r}", path=name)
    if not any(map(is_differentiable, tree.leaves(tuple(args)))):
        raise DtypeError("expected floating-point numbers to differentiate with respect to, found none", path="args")
    _check(_Point(f, tuple(args), (), tolerance, step or 0.25), order, modes)


def _check(point: _Point, order: int, modes: Sequence[str]) -> None:
    """Check the first derivatives at a point, and those of higher order."""
    weightings = list(point.outputs.vectors(np.ones(len(point.outputs.vector)), len(point.inner)))
    for direction in point.inputs.vectors(point.scale, len(point.inner)):
        for weights in weightings:
            for mode in modes:
                point.compare(direction, weights, mode)
    if order > 1:
        for mode in modes:
            _check(_Point(point.derivative(mode), point.args, (mode, *point.inner), *point.options), order - 1, modes)


class _Elements:
    """The floating-point leaves of a tree as one vector of float64, and back.

    Attributes:
        leaves: of each its path, its value, and where its elements lie in the vector.
    """

    def __init__(self, values: Any, root: str) -> None:
        self.tree, self.root = values, root
        self.leaves: list[tuple[str, Any, slice]] = []
        stop = 0
        for path, value in tree.items(values):
            if is_differentiable(value):
                start, stop = stop, stop + np.size(value)
                self.leaves.append((join_paths(root, path), lift(value), slice(start, stop)))
        self.vector = self.of(values)

    def of(self, values: Any) -> Vector:
        """The elements of a tree of this structure, in one vector."""
        return np.concatenate([np.zeros(0), *[np.ravel(np.asarray(new, np.float64)) for new in self._varying(values)]])

    def _varying(self, values: Any) -> list[Any]:
        pairs = zip(tree.leaves(values), tree.leaves(self.tree), strict=True)
        return [new for new, own in pairs if is_differentiable(own)]

    def tree_of(self, vector: Vector, dtype: Any = None) -> Any:
        """The tree whose elements are those of a vector, with leaves of `dtype`, or of their own dtypes."""
        parts = (vector[where].reshape(own.shape).astype(dtype or own.dtype)[()] for _, own, where in self.leaves)
        return tree.with_leaves(
            self.tree, [next(parts) if is_differentiable(own) else own for own in tree.leaves(self.tree)]
        )

    def checked(self, values: Any, what: str) -> Vector:
        """The elements of a tree that must have this structure, and these shapes and dtypes."""
        try:
            check_form(what, values, self.tree, self.root)
        except TreeError as error:
            raise GradientError(error.problem, path=error.path) from None
        for (path, own, _), new in zip(self.leaves, map(lift, self._varying(values)), strict=True):
            dtype = getattr(new, "dtype", None)
            if dtype != own.dtype:
                raise GradientError(f"expected a {what} of {own.dtype}, got {dtype}", path=path)
        return self.of(values)

    def vectors(self, scale: Vector, order: int) -> Iterator[Vector]:
        """Vectors with a single leaf that is not zero: unit vectors, or pseudo-random ones if the leaf is large."""
        for path, own, where in self.leaves:
            if own.size <= max(_SMALL >> 2 * order, 1):
                parts = iter(np.eye(own.size))
            else:
                parts = (_random(own.size, f"{path} {i}") for i in range(_DIRECTIONS))
            for part in parts:
                vector = np.zeros(len(scale))
                vector[where] = part * scale[where]
                yield vector

    def name(self, vector: Vector) -> str:
        """The path of what a vector picks: of a single element, or of a whole leaf."""
        (places,) = np.nonzero(vector)
        path, own, where = next(leaf for leaf in self.leaves if places[0] < leaf[2].stop)
        if len(places) > 1 or not own.shape:
            return path
        return f"{path}[{', '.join(str(int(i)) for i in np.unravel_index(places[0] - where.start, own.shape))}]"


class _Point:
    """A function, itself a derivative in the modes `inner`, at the point where its derivatives are checked."""

    def __init__(
        self, f: Any, args: tuple[Any, ...], inner: tuple[str, ...], tolerance: float | None, step: float
    ) -> None:
        self.f, self.args, self.inner, self.options, self.step = f, args, inner, (tolerance, step), step
        self.inputs = _Elements(args, "args")
        name = ("gradient" if inner[0] == "reverse" else "tangent") if inner else "result"
        self.outputs = _Elements(f(*args), name)
        if not np.all(np.isfinite(self.outputs.vector)):
            raise GradientError("it is not finite here; check the function at a point where it is", path=name)
        self.wanted = [any(map(is_differentiable, tree.leaves(arg))) for arg in args]
        self.eps = _rounding_unit((args, self.outputs.tree))
        self.eps_of_difference = _rounding_unit(f(*self.inputs.tree_of(self.inputs.vector, np.float64)))
        self.tolerance = tolerance or max(1e-6, 1.7e3 * self.eps)
        self.scale = np.concatenate([self.inputs.vector[where] for *_, where in self.inputs.leaves])
        for *_, where in self.inputs.leaves:  # between the size of an element and that of the largest of its leaf
            size = np.abs(self.scale[where])
            largest = np.max(size, initial=0.0) or 1.0
            self.scale[where] = largest * np.where(size > 0, np.maximum(np.sqrt(size / largest), 1e-10), 1)
        self.pull: Any = None
        self._known: dict[tuple[str, bytes], Any] = {}

    # The derivative along a direction, of the result under a weighting, in three ways.

    def difference(self, direction: Vector) -> tuple[Vector, Vector]:
        """The derivative of every element of the result by finite differences, and its error."""

        def moved(t: float) -> Vector:
            moved = self.inputs.tree_of(self.inputs.vector + t * direction, np.float64)
            return self.outputs.of(self.f(*moved))

        derivative, error, problem = _extrapolated(moved, self.step, self.eps_of_difference)
        if not np.all(np.isfinite(error)):
            raise GradientError(
                "there are no finite differences here, for the function is not defined on both sides; move the point "
                "away from the edge, or make the argument a constant: check lambda x: f(x, constant)",
                path=self.inputs.name(direction),
            ) from problem
        return derivative, error

    def pushed(self, direction: Vector) -> Vector:
        """The derivative of every element of the result in forward mode."""
        value, tangent, _ = push(self.f, self.args, _leaves_along(self.inputs.tree_of(direction), self.args))
        self._check_value(value, "forward")
        return self.outputs.checked(tangent, "tangent")

    def pulled(self, weights: Vector) -> Vector:
        """The derivative of the weighted result with respect to every element, in reverse mode."""
        if self.pull is None:
            value, self.pull = linearise(self.f, self.args, {}, self.wanted)
            self._check_value(value, "reverse")
        gradient = self._gradient(self.pull(self.outputs.tree_of(weights)), self.args)
        return self.inputs.checked(gradient, "gradient")

    def _gradient(self, cotangents: Sequence[Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
        whole = zip(cotangents, args, self.wanted, strict=False)  # a rule may know more arguments than are given
        return tuple(complete(force(ct), arg) if is_wanted else arg for ct, arg, is_wanted in whole)

    def _check_value(self, value: Any, mode: str) -> None:
        got = self.outputs.checked(value, f"value in {mode} mode")
        for path, _, where in self.outputs.leaves:
            new, own = got[where], self.outputs.vector[where]
            wrong = ~(np.abs(new - own) <= self.tolerance * np.max(np.abs(own), initial=0.0))
            if np.any(wrong):
                values = f"{new[wrong][0]:.17g} in {mode} mode, and {own[wrong][0]:.17g} when nothing is differentiated"
                problem = f"the value is {values}; a rule must return what its function returns"
                raise GradientError(problem, path=path)

    def _once(self, compute: Callable[[Vector], Any], vector: Vector) -> Any:
        name = (compute.__name__, vector.tobytes())
        if name not in self._known:
            self._known[name] = compute(vector)
        return self._known[name]

    # How they compare.

    def numbers(self, direction: Vector, weights: Vector, mode: str) -> tuple[float, float, float]:
        """The derivative in a mode, by finite differences, and by how much they may differ."""
        differences, errors = self._once(self.difference, direction)
        numeric = float(weights @ differences)
        if mode == "forward":
            derivative = float(weights @ self._once(self.pushed, direction))
        else:
            derivative = float(self._once(self.pulled, weights) @ direction)
        error = np.abs(weights) @ (4 * errors + 100 * self.eps * np.abs(differences))
        return derivative, numeric, self.tolerance * max(abs(derivative), abs(numeric)) + float(error)

    def compare(self, direction: Vector, weights: Vector, mode: str) -> None:
        """Raise unless the derivative in a mode agrees with the finite difference."""
        derivative, numeric, allowed = self.numbers(direction, weights, mode)
        if abs(derivative - numeric) <= allowed:
            return
        direction = self._narrowed(direction, weights, mode)
        derivative, numeric, allowed = self.numbers(direction, weights, mode)
        size = float(np.max(np.abs(direction))) if np.count_nonzero(direction) == 1 else 1.0
        larger = max(abs(derivative), abs(numeric)) or math.nan
        chain = (mode, *self.inner)
        order = f" (order {len(chain)})" if self.inner else ""
        of = "" if np.count_nonzero(weights) == 1 else "a weighted sum of "
        raise GradientError(
            f"the derivative of {of}{self.outputs.name(weights)} with respect to it is {derivative / size:.12g}, in "
            f"{' over '.join(chain)} mode{order}, and {numeric / size:.12g} by finite differences: a relative error of "
            f"{abs(derivative - numeric) / larger:.1e}, where {allowed / larger:.1e} is allowed",
            path=self.inputs.name(direction),
        )

    def _narrowed(self, direction: Vector, weights: Vector, mode: str) -> Vector:
        """A direction narrowed down to the element that is most wrong, by halving."""

        def excess(part: Vector) -> float:
            derivative, numeric, allowed = self.numbers(part, weights, mode)
            return abs(derivative - numeric) - allowed

        narrow = direction
        while np.count_nonzero(narrow) > 1:
            places = np.cumsum(narrow != 0)
            first = places <= places[-1] // 2
            narrow = max((np.where(first, narrow, 0), np.where(first, 0, narrow)), key=excess)
            if not excess(narrow) > 0:
                return direction
        return narrow

    def derivative(self, mode: str) -> Callable[..., Any]:
        """The derivative of the function in a mode, for a fixed direction or weighting, as a function."""
        if mode == "forward":
            tangent = self.inputs.tree_of(self.scale * _random(len(self.scale), "direction"))
            return lambda *args: push(self.f, args, _leaves_along(tangent, args))[1]
        weights = _random(len(self.outputs.vector), "weighting")
        for *_, where in self.outputs.leaves:
            weights[where] /= np.max(np.abs(self.outputs.vector[where]), initial=0.0) or 1.0
        cotangent = self.outputs.tree_of(weights)
        return lambda *args: self._gradient(linearise(self.f, args, {}, self.wanted)[1](cotangent), args)


def _extrapolated(f: Callable[[float], Vector], largest: float, eps: float) -> tuple[Vector, Vector, Exception | None]:
    """The derivative at 0 of a function of one number, its error, and what the function last raised.

    The results of `f` are rounded to `eps`. Where it raises or is not finite smaller steps than the `largest` are
    tried; if none helps, the error is infinite.
    """
    best, best_error = np.zeros(1), np.full(1, np.inf)
    before: list[Vector] = []
    problem: Exception | None = None
    for level in range(_LEVELS):
        step = largest * _RATIO**-level
        with np.errstate(all="ignore"):
            try:
                above, below = f(step), f(-step)
            except _OUTSIDE as raised:
                before, problem = [], raised
                continue
            row = [(above - below) / (2 * step)]
            # of what `f` returns, and of what may have cancelled on the way, which is as large as its argument
            rounding = 4 * eps * (np.maximum(np.abs(above), np.abs(below)) + np.abs(row[0]) + largest) / step
            for column, older in enumerate(before):
                row.append(row[-1] + (row[-1] - older) / (_RATIO ** (2 * (column + 1)) - 1))
                error = np.maximum(np.abs(row[-1] - row[-2]), np.abs(row[-1] - older)) + rounding
                better = error < best_error
                best, best_error = np.where(better, row[-1], best), np.where(better, error, best_error)
            done = (best_error <= _ENOUGH * np.abs(best)) | (rounding >= best_error)
        before = row
        if len(row) > 2 and np.all(done):
            break
    return best, best_error, problem


def _rounding_unit(values: Any) -> float:
    dtypes = [lift(leaf).dtype for leaf in tree.leaves(values) if is_differentiable(leaf)]
    return max(float(np.finfo(dtype).eps) for dtype in [np.float64, *dtypes])


def _leaves_along(tangent: tuple[Any, ...], args: Sequence[Any]) -> list[list[Any]]:
    """The tangent of each leaf of each argument, in the dtype of the leaf."""
    return [
        [
            np.asarray(t, lift(leaf).dtype)[()] if is_differentiable(leaf) else None
            for t, leaf in zip(tree.leaves(along), tree.leaves(arg), strict=True)
        ]
        for along, arg in zip(tangent, args, strict=True)
    ]


def _random(size: int, name: str) -> Vector:
    """Pseudo-random numbers of both signs, none of them near zero."""
    draws = np.asarray(normal(fold_in(key(0), name), (size,)), np.float64)
    return np.where(draws < 0, draws - 0.5, draws + 0.5)
