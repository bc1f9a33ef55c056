"""Losses: `loss(prediction, target, weights=None) -> scalar`.

`weights` has one number for each example (the first axis). A loss that is a mean becomes the weighted mean
`sum(weights * loss of each example) / sum(weights)`, a loss that is a sum becomes
`sum(weights * loss of each example)`: either way an integer weight is the same as repeating the example.

The loss of the classes is finite and exact for logits of any size. Each loss has a hand-derived pullback; only the
prediction (or the logits) gets a cotangent through it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from purenet.arguments import check_number
from purenet.arithmetic import elementary, native, sums
from purenet.arithmetic.modes import Portable
from purenet.errors import DataError, DtypeError, ShapeError
from purenet.loss_rules import (
    LossKernel,
    check_floating,
    check_regression,
    elementwise,
    in_dtype_of,
    mean_of,
    of_squares,
    own_rule,
    reduced_by,
    residual_of,
    share_of,
    squared,
    sum_of,
    sum_of_all,
)
from purenet.transforms.tracer import plain


@squared(mean_of)
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
    return of_squares(mean_of, residual_of(prediction, target, name), weights, name)


@squared(sum_of)
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
    return of_squares(sum_of, residual_of(prediction, target, name), weights, name)


@elementwise(mean_of, lambda prediction, target: (1.0, np.sign(prediction - target)))
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
    check_regression(prediction, target, "mean_absolute_error")
    return mean_of(np.abs(prediction - target), weights, "mean_absolute_error")


def _huber_slope(prediction: Any, target: Any, delta: float = 1.0) -> tuple[float, Any]:
    return 1.0, np.clip(prediction - target, -delta, delta)


@elementwise(mean_of, _huber_slope)
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
    check_regression(prediction, target, "huber")
    check_number("huber.delta", plain(delta), above=0)
    residual = prediction - target
    size = np.abs(residual)
    inside = np.where(size <= delta, residual, 0)
    return mean_of(np.where(size <= delta, 0.5 * inside * inside, delta * (size - 0.5 * delta)), weights, "huber")


def _sigmoid_slope(logits: Any, targets: Any) -> tuple[float, Any]:
    return 1.0, native.sigmoid(logits) - targets


@elementwise(mean_of, _sigmoid_slope)
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
    check_regression(logits, targets, name)
    known = plain(targets)
    if not (np.min(known) >= 0 and np.max(known) <= 1):
        raise DataError(f"expected targets from 0 to 1, got {np.min(known)} to {np.max(known)}", path=f"{name}.targets")
    # softplus(z) - t z = max(z, 0) - t z + log1p(exp(-|z|)): the first two are exact for large z
    return mean_of(native.softplus(logits) - targets * logits, weights, name)


def _softmax_rule(logits: Any, labels: Any, weights: Any = None) -> tuple[Any, Callable[[Any], Any]]:
    """`d logits = g * weight / sum(weights) * (softmax(logits) - labels)`."""

    def pull(g: Any) -> Any:
        slopes = native.softmax(logits)
        if np.ndim(labels) == 1:
            slopes[np.arange(len(labels)), labels] -= 1
        else:
            shares = labels if labels.__class__ is slopes.__class__ else labels * np.ones_like(slopes)
            slopes = slopes * np.sum(shares, axis=-1, keepdims=True) - labels  # the sum in the arithmetic of the logits
        share = share_of(mean_of, logits, slopes[:, :1], weights, "softmax_cross_entropy")
        return in_dtype_of(logits, slopes * (share * g))

    return softmax_cross_entropy(logits, labels, weights), pull


def _choose_softmax(logits: Any, labels: Any, mode: Portable | None) -> LossKernel:
    """The rule for labels that are integers, with the exponentials computed once."""
    kind, size = labels.dtype.kind, labels.dtype.itemsize
    if labels.shape != logits.shape[:1] or logits.ndim != 2 or not logits.size or kind not in "iu":
        return own_rule(_softmax_rule, mode)
    count, classes = logits.shape
    number, rows, unsigned = logits.dtype.type, np.arange(count), np.dtype(f"u{size}")
    # a negative number, read as unsigned, is no less; of another byte order all are looked at more closely
    least_wrong = min(classes, 1 << (8 * size - 1)) if kind == "i" else classes
    least_wrong = least_wrong if labels.dtype.isnative else 0
    maximum: Any = np.maximum.reduce
    exp, log, largest, add, sum_all = (
        (np.exp, np.log, maximum, np.add.reduce, sum_of_all)
        if mode is None
        else (elementary.exp, elementary.log, sums.largest, sums.total, sums.total)
    )

    def value(logits: Any, labels: Any) -> tuple[Any, Any]:
        if maximum(labels.view(unsigned)) >= least_wrong:
            _check_labels(logits, labels, "softmax_cross_entropy")
        top = largest(logits, axis=-1, keepdims=True)
        powers = exp(logits - top)
        totals = add(powers, axis=-1, keepdims=True)
        losses = (top + log(totals))[:, 0] - logits[rows, labels]
        return sum_all(losses) / number(count), (powers, totals, labels)

    def pull(g: Any, kept: Any) -> Any:
        slopes, totals, labels = kept
        slopes /= totals
        slopes[rows, labels] -= 1
        slopes *= number(1 / count) * g
        return slopes

    return LossKernel(value, pull)


@reduced_by(mean_of, _softmax_rule, _choose_softmax)
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
    return mean_of(losses, weights, name)


def _check_labels(logits: Any, labels: Any, name: str) -> None:
    check_floating(logits, name)
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


def __dir__() -> list[str]:
    return __all__
