"""How losses are derived: the reduction over the examples, the pullback to the prediction, and kernels.

A loss reduces a value for each element, or each example, to their mean or sum. Its hand-derived pullback goes to the
prediction alone; to target and weights it is traced when somebody wants it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any, NamedTuple

import numpy as np

from purenet.arithmetic import sums
from purenet.arithmetic.modes import Portable
from purenet.errors import DataError, DtypeError, ShapeError
from purenet.transforms.linearise import Deferred, Pullback, force, trace, with_rule
from purenet.transforms.portability.array import PortableArray, plain_of
from purenet.transforms.portability.boundary import enter
from purenet.transforms.tracer import plain

Loss = Callable[..., Any]


def check_floating(prediction: Any, name: str) -> None:
    """Raise a `DtypeError` unless predictions are floating-point."""
    if not hasattr(prediction, "dtype"):
        problem = f"expected an array of predictions, got {type(prediction).__name__}; "
        raise DtypeError(problem + "for the loss of a network use pn.objective(loss)", path=name)
    if prediction.dtype.kind not in "fc":
        problem = f"expected floating-point predictions, got {prediction.dtype}; convert them with .astype(np.float64)"
        raise DtypeError(problem, path=name)


def check_regression(prediction: Any, target: Any, name: str) -> None:
    """Raise unless predictions are floating-point, have the shape of the targets, and are there."""
    check_floating(prediction, name)
    if prediction.shape != np.shape(target):
        lacks_axis = np.ndim(target) == 1 and prediction.shape == (len(target), 1)
        raise ShapeError(
            f"expected prediction and target of one shape, got {prediction.shape} and {np.shape(target)}; "
            f"{'write target[:, None]' if lacks_axis else 'reshape one of them'}, "
            "for they would be broadcast against each other",
            path=name,
        )
    if not prediction.size:
        raise DataError("expected at least one example, got none", path=name)


def _weights_along(weights: Any, like: Any, name: str) -> Any:
    """Weights of the examples, shaped to multiply an array of them, in its dtype."""
    if np.shape(weights) != np.shape(like)[:1]:
        raise ShapeError(
            f"expected one weight for each example, shape {np.shape(like)[:1]}, got {np.shape(weights)}",
            path=f"{name}.weights",
        )
    along = np.reshape(weights, (-1,) + (1,) * (np.ndim(like) - 1))
    along = along if along.dtype == like.dtype else along.astype(like.dtype)
    if along.__class__ is like.__class__:
        return along
    first = like[(slice(None), *[slice(1)] * (np.ndim(like) - 1))]
    return along * np.ones_like(first)  # constant weights in the arithmetic of the examples


def mean_of(values: Any, weights: Any, name: str) -> Any:
    """The mean over all elements, weighted by the example."""
    if weights is None:
        if values.__class__ is not np.ndarray or values.dtype.itemsize < 4:
            return values.mean()
        return sum_of_all(values) / values.dtype.type(values.size)  # what np.mean does, without its overhead
    along = _weights_along(weights, values, name)
    if not np.any(plain(along)):
        raise DataError("expected a weight other than 0, got none", path=f"{name}.weights")
    per_example = values.dtype.type(values.size // len(values))  # in its precision, which NumPy 1 would widen
    return np.sum(values * along) / (np.sum(along) * per_example)


def sum_of(values: Any, weights: Any, name: str) -> Any:
    """The sum over all elements, weighted by the example."""
    return sum_of_all(values) if weights is None else np.sum(values * _weights_along(weights, values, name))


def sum_of_all(values: Any) -> Any:
    """The sum of a plain array."""
    return np.add.reduce(values, axis=None)


def of_squares(reduce: Callable[..., Any], residual: Any, weights: Any, name: str) -> Any:
    """The mean or the sum of the squares."""
    if weights is not None or residual.__class__ is not np.ndarray or residual.dtype.itemsize < 4:
        return reduce(residual * residual, weights, name)
    total = _sum_of_squares(residual)
    return total if reduce is sum_of else total / total.__class__(residual.size)


def _sum_of_squares(residual: Any) -> Any:
    flat = residual.ravel()
    return flat.dot(flat)  # in half the time of a sum of products


def _portable_sum_of_squares(residual: Any) -> Any:
    flat = residual.ravel()
    return sums.halved(flat * flat)


def residual_of(prediction: Any, target: Any, name: str) -> Any:
    """`prediction - target`, checked; most of the time with one look."""
    try:
        is_usual = prediction.shape == target.shape and prediction.dtype.kind == "f" and prediction.size
    except AttributeError:
        is_usual = False
    if not is_usual:
        check_regression(prediction, target, name)
    return prediction - target


def in_dtype_of(prediction: Any, cotangent: Any) -> Any:
    """A cotangent in the dtype of what it belongs to."""
    return cotangent if cotangent.dtype is prediction.dtype else cotangent.astype(prediction.dtype)


def share_of(reduce: Callable[..., Any], prediction: Any, slopes: Any, weights: Any, name: str) -> Any:
    """How much each element's value counts in the reduced one."""
    dtype = prediction.dtype.type
    if weights is None:
        return dtype(1 if reduce is sum_of else 1 / slopes.size)
    along = _weights_along(weights, slopes, name)
    return along if reduce is sum_of else along / (np.sum(along) * dtype(slopes.size // len(prediction)))


def _traced(loss: Loss, args: tuple[Any, ...], options: dict[str, Any], g: Any, position: int) -> Any:
    wanted = [i == position for i in range(len(args))]
    return force(trace(loss, args, options, wanted)[1](g)[position])


class LossKernel(NamedTuple):
    """A loss for predictions of one form, as two functions of plain arrays that ask no questions.

    `value(prediction, target)` returns the loss and what `pull(g, kept)` makes the cotangent of the prediction from.
    """

    value: Callable[[Any, Any], tuple[Any, Any]]
    pull: Callable[[Any, Any], Any]


ChooseKernel = Callable[[Any, Any, Portable | None], LossKernel]
"""`choose(prediction, target, mode)`: the kernel for arrays like these in an arithmetic."""

PredictionRule = Callable[..., tuple[Any, Callable[[Any], Any]]]
"""`rule(prediction, target, weights, **options) -> (value, pull)`; `pull(g)` is the cotangent of the prediction."""


class LossRule(NamedTuple):
    """What a loss carries: its rule for the prediction, and how its kernels are chosen."""

    loss: Loss
    rule: PredictionRule
    choose: ChooseKernel


def rule_of(loss: Any) -> LossRule | None:
    """What a loss carries, if it is its own: `functools.wraps` copies it to functions that compute something else."""
    found: LossRule | None = getattr(loss, "__loss_rule__", None)
    return found if found is not None and found.loss is loss else None


def own_rule(rule: PredictionRule, mode: Portable | None) -> LossKernel:
    """The rule as a kernel, in either arithmetic."""
    if mode is None:
        return LossKernel(rule, lambda g, pull: pull(g))

    def value(prediction: Any, target: Any) -> tuple[Any, Any]:
        loss, pull = rule(PortableArray(prediction, mode), enter(target, mode))
        return plain_of(loss), pull

    return LossKernel(value, lambda g, pull: plain_of(pull(PortableArray(g, mode))))


def _with_prediction_rule(rule: PredictionRule, choose: ChooseKernel | None = None) -> Callable[[Loss], Loss]:
    """Give a loss its hand-derived pullback to the prediction; to target and weights it is traced if it is wanted.

    `choose` chooses a kernel if there is a quicker one than the rule.
    """

    def attach(loss: Loss) -> Loss:
        names = tuple(signature(loss).parameters)[:3]

        def full_rule(*given: Any, **options: Any) -> tuple[Any, Pullback]:
            args = (*given, *[options.pop(name) for name in names[len(given) :] if name in options])
            if len(args) == 3 and args[2] is None:
                args = args[:2]
            value, pull = rule(*args, **options)

            def pullback(g: Any) -> tuple[Any, ...]:
                others = [Deferred(partial(_traced, loss, args, options, g, i)) for i in range(1, len(args))]
                return pull(g), *others

            return value, pullback

        loss.__loss_rule__ = LossRule(loss, rule, choose or (lambda prediction, target, mode: own_rule(rule, mode)))  # type: ignore[attr-defined]
        return with_rule(full_rule)(loss)

    return attach


def elementwise(reduce: Callable[..., Any], slope: Callable[..., tuple[float, Any]]) -> Callable[[Loss], Loss]:
    """Give a loss that reduces a value for each element its pullback: `g * weight of the element * slope`.

    Args:
        reduce: `mean_of` or `sum_of`.
        slope: `slope(prediction, target, **options)`: the derivative of each element's value, as a factor and an array.
    """

    def attach(loss: Loss) -> Loss:
        def rule(prediction: Any, target: Any, weights: Any = None, **options: Any) -> tuple[Any, Callable[[Any], Any]]:
            def pull(g: Any) -> Any:
                factor, slopes = slope(prediction, target, **options)
                share = share_of(reduce, prediction, slopes, weights, loss.__name__)
                return in_dtype_of(prediction, slopes * (share * (factor * g)))

            return loss(prediction, target, weights, **options), pull

        return reduced_by(reduce, rule)(loss)

    return attach


def squared(reduce: Callable[..., Any]) -> Callable[[Loss], Loss]:
    """Give the mean or the sum of squares its pullback: as `elementwise` does, with the residual computed once."""

    def attach(loss: Loss) -> Loss:
        name = loss.__name__

        def rule(prediction: Any, target: Any, weights: Any = None) -> tuple[Any, Callable[[Any], Any]]:
            residual = residual_of(prediction, target, name)
            value = of_squares(reduce, residual, weights, name)

            def pull(g: Any) -> Any:
                share = share_of(reduce, prediction, residual, weights, name)
                return in_dtype_of(prediction, residual * (2.0 * g * share))

            return value, pull

        def choose(prediction: Any, target: Any, mode: Portable | None) -> LossKernel:
            if prediction.shape != target.shape or prediction.dtype != target.dtype or not prediction.size:
                return own_rule(rule, mode)
            number = prediction.dtype.type
            count = number(1 if reduce is sum_of else prediction.size)
            share = number(1 / count)

            sum_of_squares = _sum_of_squares if mode is None else _portable_sum_of_squares

            def value(prediction: Any, target: Any) -> tuple[Any, Any]:
                residual = prediction - target
                return sum_of_squares(residual) / count, residual

            def pull(g: Any, residual: Any) -> Any:
                residual *= share * (2.0 * g)
                return residual

            return LossKernel(value, pull)

        return reduced_by(reduce, rule, choose)(loss)

    return attach


def reduced_by(
    reduce: Callable[..., Any], rule: PredictionRule, choose: ChooseKernel | None = None
) -> Callable[[Loss], Loss]:
    """Give a loss its rule, and say by which reduction it is made."""

    def attach(loss: Loss) -> Loss:
        loss.__reduction__ = "mean" if reduce is mean_of else "sum"  # type: ignore[attr-defined]
        return _with_prediction_rule(rule, choose)(loss)

    return attach
