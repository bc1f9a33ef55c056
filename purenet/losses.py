"""Losses: `loss(prediction, target, weights=None) -> scalar`.

`weights` has one number for each example (the first axis). A loss that is a mean becomes the weighted mean
`sum(weights * loss of each example) / sum(weights)`, a loss that is a sum becomes
`sum(weights * loss of each example)`: either way an integer weight is the same as repeating the example.

The loss of the classes is finite and exact for logits of any size. Each loss has a hand-derived pullback; only the
prediction (or the logits) gets a cotangent through it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from purenet.arguments import check_number
from purenet.arithmetic import native, sums
from purenet.arithmetic.modes import Portable
from purenet.errors import DataError, DtypeError, ShapeError
from purenet.transforms.linearise import Deferred, Pullback, force, trace, with_rule
from purenet.transforms.tracer import plain

Loss = Callable[..., Any]


def _check_floating(prediction: Any, name: str) -> None:
    if prediction.dtype.kind not in "fc":
        problem = f"expected floating-point predictions, got {prediction.dtype}; convert them with .astype(np.float64)"
        raise DtypeError(problem, path=name)


def _check_regression(prediction: Any, target: Any, name: str) -> None:
    _check_floating(prediction, name)
    if prediction.shape != np.shape(target):
        raise ShapeError(
            f"expected prediction and target of one shape, got {prediction.shape} and {np.shape(target)}; "
            "reshape one of them, for they would be broadcast against each other",
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


def _mean(values: Any, weights: Any, name: str) -> Any:
    if weights is None:
        if values.__class__ is not np.ndarray or values.dtype.itemsize < 4:
            return values.mean()
        return _total(values) / values.dtype.type(values.size)  # what np.mean does, without its overhead
    along = _weights_along(weights, values, name)
    if not np.any(plain(along)):
        raise DataError("expected a weight other than 0, got none", path=f"{name}.weights")
    per_example = values.dtype.type(values.size // len(values))  # in its precision, which NumPy 1 would widen
    return np.sum(values * along) / (np.sum(along) * per_example)


def _sum(values: Any, weights: Any, name: str) -> Any:
    return _total(values) if weights is None else np.sum(values * _weights_along(weights, values, name))


def _total(values: Any) -> Any:
    return np.add.reduce(values, axis=None)


def _of_squares(reduce: Callable[..., Any], residual: Any, weights: Any, name: str) -> Any:
    """The mean or the sum of the squares."""
    if weights is not None or residual.__class__ is not np.ndarray or residual.dtype.itemsize < 4:
        return reduce(residual * residual, weights, name)
    total = _sum_of_squares(residual)
    return total if reduce is _sum else total / total.__class__(residual.size)


def _sum_of_squares(residual: Any) -> Any:
    flat = residual.ravel()
    return flat.dot(flat)  # in half the time of a sum of products


def _portable_sum_of_squares(residual: Any) -> Any:
    return sums.total(residual * residual)


class LossKernel(NamedTuple):
    """A loss for predictions of one form, as two functions of plain arrays that ask no questions.

    `value(prediction, target)` returns the loss and what `pull(g, kept)` makes the cotangent of the prediction from.
    """

    value: Callable[[Any, Any], tuple[Any, Any]]
    pull: Callable[[Any, Any], Any]


ChooseKernel = Callable[[Any, Any, Portable | None], LossKernel | None]
"""`choose(prediction, target, mode)`: the kernel for arrays like these in an arithmetic, if there is one."""

PredictionRule = Callable[..., tuple[Any, Callable[[Any], Any]]]
"""`rule(prediction, target, weights, **options) -> (value, pull)`; `pull(g)` is the cotangent of the prediction."""


def _no_choice(rule: PredictionRule) -> ChooseKernel:
    """The rule as a kernel, which is for native arithmetic."""
    return lambda prediction, target, mode: LossKernel(rule, _pull_kept) if mode is None else None


def _pull_kept(g: Any, pull: Callable[[Any], Any]) -> Any:
    return pull(g)


def _with_prediction_rule(rule: PredictionRule, choose: ChooseKernel | None = None) -> Callable[[Loss], Loss]:
    """Give a loss its hand-derived pullback to the prediction; to target and weights it is traced if it is wanted.

    `choose` chooses a kernel if there is a quicker one than the rule.
    """

    def attach(loss: Loss) -> Loss:
        def full_rule(prediction: Any, target: Any, weights: Any = None, **options: Any) -> tuple[Any, Pullback]:
            value, pull = rule(prediction, target, weights, **options)
            args = (prediction, target) if weights is None else (prediction, target, weights)

            def pullback(g: Any) -> tuple[Any, ...]:
                others = [Deferred(partial(_traced, loss, args, options, g, i)) for i in range(1, len(args))]
                return pull(g), *others

            return value, pullback

        loss.__prediction_rule__ = rule  # type: ignore[attr-defined]
        loss.__kernel__ = choose or _no_choice(rule)  # type: ignore[attr-defined]
        return with_rule(full_rule)(loss)

    return attach


def _elementwise(reduce: Callable[..., Any], slope: Callable[..., tuple[float, Any]]) -> Callable[[Loss], Loss]:
    """Give a loss that reduces a value for each element its pullback: `g * weight of the element * slope`.

    Args:
        reduce: `_mean` or `_sum`.
        slope: `slope(prediction, target, **options)`: the derivative of each element's value, as a factor and an array.
    """

    def attach(loss: Loss) -> Loss:
        def rule(prediction: Any, target: Any, weights: Any = None, **options: Any) -> tuple[Any, Callable[[Any], Any]]:
            def pull(g: Any) -> Any:
                factor, slopes = slope(prediction, target, **options)
                share = _share(reduce, prediction, slopes, weights, loss.__name__)
                return _in_dtype_of(prediction, slopes * (share * (factor * g)))

            return loss(prediction, target, weights, **options), pull

        return _reduced_by(reduce, rule)(loss)

    return attach


def _squared(reduce: Callable[..., Any]) -> Callable[[Loss], Loss]:
    """Give the mean or the sum of squares its pullback: as `_elementwise` does, with the residual computed once."""

    def attach(loss: Loss) -> Loss:
        name = loss.__name__

        def rule(prediction: Any, target: Any, weights: Any = None) -> tuple[Any, Callable[[Any], Any]]:
            residual = _residual(prediction, target, name)
            value = _of_squares(reduce, residual, weights, name)

            def pull(g: Any) -> Any:
                share = _share(reduce, prediction, residual, weights, name)
                return _in_dtype_of(prediction, residual * (2.0 * g * share))

            return value, pull

        def choose(prediction: Any, target: Any, mode: Portable | None) -> LossKernel | None:
            if prediction.shape != target.shape or prediction.dtype is not target.dtype or not prediction.size:
                return None
            number = prediction.dtype.type
            count = number(1 if reduce is _sum else prediction.size)
            share = number(1 / count)

            sum_of_squares = _sum_of_squares if mode is None else _portable_sum_of_squares

            def value(prediction: Any, target: Any) -> tuple[Any, Any]:
                residual = prediction - target
                return sum_of_squares(residual) / count, residual

            def pull(g: Any, residual: Any) -> Any:
                residual *= share * (2.0 * g)
                return residual

            return LossKernel(value, pull)

        return _reduced_by(reduce, rule, choose)(loss)

    return attach


def _reduced_by(
    reduce: Callable[..., Any], rule: PredictionRule, choose: ChooseKernel | None = None
) -> Callable[[Loss], Loss]:
    def attach(loss: Loss) -> Loss:
        loss.__reduction__ = "mean" if reduce is _mean else "sum"  # type: ignore[attr-defined]
        return _with_prediction_rule(rule, choose)(loss)

    return attach


def _residual(prediction: Any, target: Any, name: str) -> Any:
    if prediction.shape != getattr(target, "shape", None) or prediction.dtype.kind != "f" or not prediction.size:
        _check_regression(prediction, target, name)
    return prediction - target


def _in_dtype_of(prediction: Any, cotangent: Any) -> Any:
    return cotangent if cotangent.dtype is prediction.dtype else cotangent.astype(prediction.dtype)


def _share(reduce: Callable[..., Any], prediction: Any, slopes: Any, weights: Any, name: str) -> Any:
    """How much each element's value counts in the reduced one."""
    dtype = prediction.dtype.type
    if weights is None:
        return dtype(1 if reduce is _sum else 1 / slopes.size)
    along = _weights_along(weights, slopes, name)
    return along if reduce is _sum else along / (np.sum(along) * dtype(slopes.size // len(prediction)))


def _traced(loss: Loss, args: tuple[Any, ...], options: dict[str, Any], g: Any, position: int) -> Any:
    wanted = [i == position for i in range(len(args))]
    return force(trace(loss, args, options, wanted)[1](g)[position])


@_squared(_mean)
def mean_squared_error(prediction: Any, target: Any, weights: Any = None) -> Any:
    """The mean over all elements of `(prediction - target)**2`.

    Args:
        prediction: any shape, the first axis for the examples.
        target: the same shape.
        weights: None, or one weight for each example.

    Raises:
        ShapeError: if the shapes differ.

    Example:
        >>> mean_squared_error(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]))
        np.float64(2.0)
    """
    name = "mean_squared_error"
    return _of_squares(_mean, _residual(prediction, target, name), weights, name)


@_squared(_sum)
def sum_squared_error(prediction: Any, target: Any, weights: Any = None) -> Any:
    """The sum over all elements of `(prediction - target)**2`.

    Args:
        prediction: any shape, the first axis for the examples.
        target: the same shape.
        weights: None, or one weight for each example.

    Raises:
        ShapeError: if the shapes differ.

    Example:
        >>> sum_squared_error(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]))
        np.float64(4.0)
    """
    name = "sum_squared_error"
    return _of_squares(_sum, _residual(prediction, target, name), weights, name)


@_elementwise(_mean, lambda prediction, target: (1.0, np.sign(prediction - target)))
def mean_absolute_error(prediction: Any, target: Any, weights: Any = None) -> Any:
    """The mean over all elements of `|prediction - target|`; its derivative where they are equal is 0.

    Args:
        prediction: any shape, the first axis for the examples.
        target: the same shape.
        weights: None, or one weight for each example.

    Raises:
        ShapeError: if the shapes differ.

    Example:
        >>> mean_absolute_error(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]))
        np.float64(1.0)
    """
    _check_regression(prediction, target, "mean_absolute_error")
    return _mean(np.abs(prediction - target), weights, "mean_absolute_error")


def _huber_slope(prediction: Any, target: Any, delta: float = 1.0) -> tuple[float, Any]:
    return 1.0, np.clip(prediction - target, -delta, delta)


@_elementwise(_mean, _huber_slope)
def huber(prediction: Any, target: Any, weights: Any = None, *, delta: float = 1.0) -> Any:
    """The mean over all elements of `r**2 / 2` where `|r| <= delta`, else `delta * (|r| - delta / 2)`.

    `r` is `prediction - target`. For another `delta` in an objective, pass `functools.partial(huber, delta=0.5)`.

    Args:
        prediction: any shape, the first axis for the examples.
        target: the same shape.
        weights: None, or one weight for each example.
        delta: the size of a residual from which the loss is linear; positive.

    Raises:
        ShapeError: if the shapes differ.
        ArgumentError: if `delta` is not positive.

    Example:
        >>> huber(np.array([[0.5], [3.0]]), np.zeros((2, 1)))
        np.float64(1.3125)

    Source:
        Huber, Robust Estimation of a Location Parameter, 1964.
    """
    _check_regression(prediction, target, "huber")
    check_number("huber.delta", plain(delta), above=0)
    residual = prediction - target
    size = np.abs(residual)
    inside = np.where(size <= delta, residual, 0)
    return _mean(np.where(size <= delta, 0.5 * inside * inside, delta * (size - 0.5 * delta)), weights, "huber")


def _sigmoid_slope(logits: Any, targets: Any) -> tuple[float, Any]:
    return 1.0, native.sigmoid(logits) - targets


@_elementwise(_mean, _sigmoid_slope)
def sigmoid_cross_entropy(logits: Any, targets: Any, weights: Any = None) -> Any:
    """The mean over all elements of `-t * log(p) - (1 - t) * log(1 - p)` with `p = sigmoid(logits)` and `t = targets`.

    Computed as `softplus(logits) - t * logits`, which is exact for logits of any size.

    Args:
        logits: any shape, the first axis for the examples.
        targets: the same shape, from 0 to 1.
        weights: None, or one weight for each example.

    Raises:
        ShapeError: if the shapes differ.
        DataError: if a target is outside 0 to 1.

    Example:
        >>> float(sigmoid_cross_entropy(np.array([[0.0], [1e4]]), np.array([[1.0], [0.0]])).round(4))
        5000.3466
    """
    name = "sigmoid_cross_entropy"
    _check_regression(logits, targets, name)
    known = plain(targets)
    if not (np.min(known) >= 0 and np.max(known) <= 1):
        raise DataError(f"expected targets from 0 to 1, got {np.min(known)} to {np.max(known)}", path=f"{name}.targets")
    # softplus(z) - t z = max(z, 0) - t z + log1p(exp(-|z|)): the first two are exact for large z
    return _mean(native.softplus(logits) - targets * logits, weights, name)


def _softmax_rule(logits: Any, labels: Any, weights: Any = None) -> tuple[Any, Callable[[Any], Any]]:
    """`d logits = g * weight / sum(weights) * (softmax(logits) - labels)`."""

    def pull(g: Any) -> Any:
        slopes = native.softmax(logits)
        if np.ndim(labels) == 1:
            slopes[np.arange(len(labels)), labels] -= 1
        else:
            slopes = slopes * np.sum(labels, axis=-1, keepdims=True) - labels
        share = _share(_mean, logits, slopes[:, :1], weights, "softmax_cross_entropy")
        return _in_dtype_of(logits, slopes * (share * g))

    return softmax_cross_entropy(logits, labels, weights), pull


@_reduced_by(_mean, _softmax_rule)
def softmax_cross_entropy(logits: Any, labels: Any, weights: Any = None) -> Any:
    """The mean over the examples of `-sum(labels * log(softmax(logits)))`.

    Args:
        logits: shape (batch, classes).
        labels: shape (batch,), the class of each example as an integer from 0; or shape (batch, classes), the
            probability of each class (one-hot for known classes).
        weights: None, or one weight for each example.

    Raises:
        ShapeError: if the shapes do not fit.
        DtypeError: if labels of shape (batch,) are not integers.
        DataError: if a label is outside the classes; it names the first such row.

    Example:
        >>> float(softmax_cross_entropy(np.array([[0.0, 0.0], [1e4, 0.0]]), np.array([0, 0])).round(4))
        0.3466
    """
    name = "softmax_cross_entropy"
    labels = labels if hasattr(labels, "dtype") else np.asarray(labels)
    _check_labels(logits, labels, name)
    log_partition = native.log_sum_exp(logits)
    if np.ndim(labels) == 1:
        chosen = logits[np.arange(len(labels)), labels]
        losses = log_partition[:, 0] - chosen
    else:
        losses = np.sum(labels * (log_partition - logits), axis=-1)
    return _mean(losses, weights, name)


def _check_labels(logits: Any, labels: Any, name: str) -> None:
    _check_floating(logits, name)
    shape = np.shape(logits)
    if len(shape) != 2 or np.shape(labels) not in (shape, shape[:1]):
        raise ShapeError(
            f"expected logits of shape (batch, classes) and labels of shape (batch,) or (batch, classes), "
            f"got {shape} and {np.shape(labels)}",
            path=name,
        )
    if shape[0] == 0:
        raise DataError("expected at least one example, got none", path=name)
    if np.ndim(labels) == 2:
        return
    if labels.dtype.kind not in "iu":
        raise DtypeError(
            f"expected integer labels, got {labels.dtype}; convert them with .astype(np.int64)", path=f"{name}.labels"
        )
    wrong = (labels < 0) | (labels >= shape[1])
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"expected classes from 0 to {shape[1] - 1}, got {labels[row]} in row {row}", path=f"{name}.labels"
        )


__all__ = [
    "huber",
    "mean_absolute_error",
    "mean_squared_error",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "sum_squared_error",
]
